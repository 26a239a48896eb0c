"""A stand-in for TWS: it speaks the socket protocol to the real client library, on a paper port of this machine."""
