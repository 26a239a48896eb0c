"""The pipeline under test: on markets whose law is known, and on features that may know what they must not."""
