"""What happened where no answer came, in words for people; and what they can do about it."""

import errno
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

_UNTRUSTED = frozenset({18, 19, 20, 21})
"""OpenSSL's codes: signed by itself, or by somebody who is not known here."""
_OTHER_NAME = frozenset({62, 64})
"""Of a host name, of an IP address."""
_NOT_IN_ITS_TIME = frozenset({9, 10})
_NO_WAY = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})
_CUT_SAYS = ("server disconnected", "peer closed")
"""How h11 tells an end of the connection from what is no HTTP."""

_DROPPED = "the connection was dropped before all of the answer had come"
_CHECK_ADDRESS = "Check the address, and whether the service runs."
_CHECK_NAME = "Check the name in the address, and that this machine can look names up."
_LATER = "Try again; if that does not help, the service or something before it may be overloaded or away."
_LOOK_FIRST = "Whether it was done is not known: look before you ask for it again."


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What ``happened``, as the end of a sentence without its full stop; and ``advice``, whole sentences."""

    happened: str
    advice: str


def failure_of(error: httpx.HTTPError, *, repeatable: bool = True) -> Failure:
    """Why there is no answer.

    :param repeatable: False: the request may have been carried out, and asking again would do it twice.
    """
    unheard = _LATER if repeatable else _LOOK_FIRST
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                return _of_certificate(cause)
            case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
                return Failure(happened=_DROPPED, advice=unheard)
            case ssl.SSLError():
                return _of_tls(cause)
            case socket.gaierror():
                return Failure(happened="no address is known for that name", advice=_CHECK_NAME)
            case ConnectionRefusedError():
                return Failure(happened="the connection was refused: nothing listens there", advice=_CHECK_ADDRESS)
            case OSError(errno=number) if number in _NO_WAY:
                return Failure(
                    happened="no network leads there", advice="Check this machine's network, and the address."
                )
    match error:
        case httpx.ConnectTimeout():
            return Failure(happened="no connection came about in time", advice=_CHECK_ADDRESS)
        case httpx.WriteTimeout():
            return Failure(happened="it stopped taking what was sent", advice=unheard)
        case httpx.TimeoutException():
            return Failure(happened="no answer came in time", advice=unheard)
        case httpx.ConnectError():
            return Failure(happened="no connection came about", advice=_CHECK_ADDRESS)
        case httpx.RemoteProtocolError() if not str(error).lower().startswith(_CUT_SAYS):
            return Failure(happened="what came back is not HTTP", advice=_CHECK_ADDRESS)
        case httpx.RemoteProtocolError() | httpx.NetworkError():
            return Failure(happened=_DROPPED, advice=unheard)
        case httpx.ProxyError():
            return Failure(
                happened="the proxy did not lead there", advice="Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY."
            )
        case _:
            return Failure(happened=f"it failed ({type(error).__name__})", advice=unheard)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it came of: httpx and httpcore each wrap it once."""
    following: BaseException | None = error
    while following is not None:
        yield following
        following = following.__cause__ or following.__context__


def _of_certificate(error: ssl.SSLCertVerificationError) -> Failure:
    if error.verify_code in _OTHER_NAME:
        return Failure(happened="its certificate is for another name", advice="Check the name in the address.")
    if error.verify_code in _NOT_IN_ITS_TIME:
        advice = "Check this machine's clock; otherwise whoever runs it has to renew the certificate."
        return Failure(happened="its certificate is not valid at this time", advice=advice)
    if error.verify_code in _UNTRUSTED:
        advice = "If you know who signed it, name a file with their certificates by --ca or ANFL_CA."
        return Failure(happened="its certificate is signed by nobody whom this machine trusts", advice=advice)
    return Failure(happened=f"its certificate was not accepted ({error.verify_message})", advice=_CHECK_ADDRESS)


def _of_tls(error: ssl.SSLError) -> Failure:
    if error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
        return Failure(happened="it does not speak TLS", advice="Does its address begin with http, not https?")
    reason = (error.reason or type(error).__name__).lower().replace("_", " ")
    return Failure(happened=f"no TLS connection came about ({reason})", advice=_CHECK_ADDRESS)
