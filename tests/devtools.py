"""A headless Chromium, asked over its debugging pipe: pages at the width of a phone, light and dark, as pictures.

No port is opened and no package is needed: messages are JSON, ended by a zero byte, on two descriptors.
"""

import base64
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--hide-scrollbars",
    "--disable-lcd-text",
)
READY = "document.readyState === 'complete' && !document.querySelector('[data-figure]:empty')"
TRIES, PAUSE = 600, "new Promise((done) => setTimeout(done, 50))"


def found() -> str | None:
    """The browser of this machine."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


class Browser:
    """One page of a browser, as a context; Chromium must be there."""

    def __enter__(self) -> Self:
        self._profile = tempfile.TemporaryDirectory(prefix="bq-browser-", ignore_cleanup_errors=True)
        theirs, self._out = os.pipe()
        self._in, ours = os.pipe()
        flags = " ".join([*FLAGS, "--remote-debugging-pipe", f"--user-data-dir={self._profile.name}"])
        command = f"exec {found()} {flags} about:blank 3<&{theirs} 4>&{ours}"
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", command], pass_fds=(theirs, ours), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(theirs)
        os.close(ours)
        self._buffer, self._number, self._session = b"", 0, None
        self._told: list[dict[str, Any]] = []  # by the browser, unasked
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.send("Page.enable")
        self.send("Network.enable")
        self.send("Page.setBypassCSP", enabled=True)  # what is asked of a page is no script of the page
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)
        self._profile.cleanup()

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask for something and wait for the answer. Raises RuntimeError with what the browser says against it."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        text = json.dumps(message).encode() + b"\0"
        while text:
            text = text[os.write(self._out, text) :]
        while (answer := self._read()).get("id") != self._number:
            self._told.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            more = os.read(self._in, 1 << 16)
            if not more:
                raise RuntimeError("the browser ended")
            self._buffer += more
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def open(self, page: Path, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Load a page at a size, until its figures are drawn."""
        self.visit(page.resolve().as_uri(), f"location.protocol === 'file:' && {READY}", width, height, dark)

    def visit(self, address: str, ready: str, width: int, height: int, dark: bool) -> None:
        """Load an address at a size, until it is ready. Raises RuntimeError where it never is."""
        phone = width < 600
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.send("Page.navigate", url=address)
        self.wait(ready, what=address)

    def wait(self, ready: str, *, what: str, tries: int = TRIES) -> None:
        """Wait until an expression holds. Raises RuntimeError where it never does."""
        for _ in range(tries):
            if self.evaluate(ready):
                return
            self.evaluate(PAUSE)
        raise RuntimeError(f"{what} must be drawn within {tries * 0.05:.0f} s, but was not")

    def evaluate(self, script: str) -> Any:
        """The value of an expression on the page; a promise is waited for."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"].get("description", "the script failed"))
        return answer["result"].get("value")

    def requests(self) -> list[str]:
        """The addresses that were asked for since the last call, in their order."""
        told, self._told = self._told, []
        return [one["params"]["request"]["url"] for one in told if one.get("method") == "Network.requestWillBeSent"]

    def picture(self, *, scale: float = 1.0) -> bytes:
        """What the window shows from the top of the page, as PNG."""
        size = self.evaluate("({width: innerWidth, height: innerHeight})")
        clip = {"x": 0, "y": 0, **size, "scale": scale}
        return base64.b64decode(self.send("Page.captureScreenshot", format="png", clip=clip)["data"])
