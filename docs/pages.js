if (location.protocol === "file:") document.documentElement.classList.add("without-search");
