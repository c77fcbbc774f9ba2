"""A whole simulated SMSC with handsets: the demo's carrier, and the peer of every test and bench."""

from cooee.smpp.smsc.config import RUNTIME, SmscConfig, fields_help
from cooee.smpp.smsc.control import control
from cooee.smpp.smsc.handsets import HandsetState, Text
from cooee.smpp.smsc.journal import JournalEntry, read_journal
from cooee.smpp.smsc.server import Smsc

__all__ = [
    "RUNTIME", "HandsetState", "JournalEntry", "Smsc", "SmscConfig", "Text", "control", "fields_help",
    "read_journal",
]  # fmt: skip
