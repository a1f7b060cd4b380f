"""Mail, sent once per message and recipient.

``MAM_SMTP_URL`` names the server (``smtp://user:password@host:587``, ``smtps://...``); without it
messages are files in ``MAM_DATA_DIR/outbox``. A mark is written after each recipient was served,
so a repeated delivery sends nothing twice. If the process dies between the server's answer and
the mark, the repeat carries the same Message-ID, by which mail servers recognise it.
"""

from __future__ import annotations

import os
import smtplib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from pipeline_kit import atomic, paths
from pipeline_kit.calendar import day_start
from pipeline_kit.errors import DataProblem, UsageProblem
from pipeline_kit.manifest import readable_json, sha256_text

DEFAULT_RECIPIENT: Final = "desk@localhost"
SENDER: Final = "majors-alts-monitor@localhost"
TIMEOUT_S: Final = 30.0


class MailError(DataProblem):
    """The mail server cannot be reached or refuses."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message, the same for every recipient."""

    message_id: str
    day: date
    """The day reported; the message is dated to the hour after it ended."""
    subject: str
    text: str
    html: str
    images: Mapping[str, bytes] = field(default_factory=dict)
    """PNG by file name; the HTML shows them as ``cid:NAME``."""
    folder: str = ""
    """Below the outbox, where there is no server; the day's report lies at its top."""


class Mailer:
    """Sends messages to ``recipients``, by default everyone in ``MAM_REPORT_RECIPIENTS``."""

    def __init__(self, recipients: Sequence[str] = ()) -> None:
        listed = os.environ.get("MAM_REPORT_RECIPIENTS") or DEFAULT_RECIPIENT
        named = recipients or listed.split(",")
        self._recipients = [name.strip() for name in named if name.strip()]
        self._url = smtp_url()
        self._outbox = paths.data_dir() / "outbox"

    def send_once(self, message: Message) -> list[str]:
        """Send to every recipient not served yet and return those served now.

        Raises
        ------
        MailError
            If the server refuses; recipients served before are remembered.
        """
        served = []
        for recipient in self._recipients:
            mark = (
                self._outbox / "sent" / f"{sha256_text(message.message_id + recipient)[:32]}.json"
            )
            if mark.is_file():
                continue
            self._send(build_message(message, recipient), message.folder)
            atomic.write_text(
                mark, readable_json({"message_id": message.message_id, "recipient": recipient})
            )
            served.append(recipient)
        return served

    def _send(self, mail: EmailMessage, folder: str) -> None:
        if not self._url.scheme:
            # One report a day and recipient; of anything else, every message is kept.
            name = sha256_text(str(mail["Message-ID"] if folder else mail["To"]))[:8]
            file = self._outbox / folder / f"{mail['X-Day']}.{name}.eml"
            atomic.write_bytes(file, mail.as_bytes())
            return
        try:
            with _connect(self._url) as server:
                server.send_message(mail)
        except (OSError, smtplib.SMTPException) as e:
            host = self._url.hostname
            raise MailError(f"mail server {host}: {e}; check MAM_SMTP_URL and the server") from e


def smtp_url() -> SplitResult:
    """Return the parts of ``MAM_SMTP_URL``, all empty where it is not set.

    Raises
    ------
    UsageProblem
        If it is no address of a mail server; its text may be a secret and is not shown.
    """
    try:
        url = urlsplit(os.environ.get("MAM_SMTP_URL") or "")
        port = url.port
    except ValueError as e:
        raise UsageProblem("MAM_SMTP_URL: its port is no number from 1 to 65535") from e
    if url.scheme not in {"", "smtp", "smtps"}:
        raise UsageProblem("MAM_SMTP_URL: must start with smtp:// or smtps://")
    if port == 0 or (url.scheme and not url.hostname):
        raise UsageProblem("MAM_SMTP_URL: must read smtp://HOST:PORT")
    return url


def build_message(message: Message, recipient: str) -> EmailMessage:
    """Return the MIME message: plain text, HTML, and the images the HTML refers to."""
    mail = EmailMessage()
    mail["Subject"] = message.subject
    mail["From"] = os.environ.get("MAM_MAIL_FROM") or SENDER
    mail["To"] = recipient
    mail["Message-ID"] = f"<{message.message_id}.{sha256_text(recipient)[:12]}@majors-alts-monitor>"
    mail["Date"] = format_datetime(
        datetime.combine(day_start(message.day).date(), time(1), day_start(message.day).tzinfo)
        + timedelta(days=1)
    )
    mail["X-Day"] = str(message.day)
    mail.set_content(message.text)
    mail.add_alternative(message.html, subtype="html")
    html = mail.get_body(("html",))
    for name, content in sorted(message.images.items()):
        # The HTML part was added two lines above, so it is there.
        html.add_related(  # type: ignore[union-attr]
            content, "image", "png", cid=f"<{name}>", filename=name, disposition="inline"
        )
    _fix_boundaries(mail, message.message_id)
    return mail


def _fix_boundaries(mail: EmailMessage, seed: str) -> None:
    """Name the MIME boundaries after the message, so that the same message has the same bytes."""
    for number, part in enumerate(p for p in mail.walk() if p.is_multipart()):
        part.set_boundary(f"=={sha256_text(f'{seed}.{number}')[:32]}==")


def _connect(url: SplitResult) -> smtplib.SMTP:
    host, port = url.hostname or "localhost", url.port
    if url.scheme == "smtps":
        context = ssl.create_default_context()
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            host, port or 465, timeout=TIMEOUT_S, context=context
        )
    else:
        server = smtplib.SMTP(host, port or 25, timeout=TIMEOUT_S)
        if url.username:
            server.starttls(context=ssl.create_default_context())
    if url.username:
        server.login(unquote(url.username), unquote(url.password or ""))
    return server
