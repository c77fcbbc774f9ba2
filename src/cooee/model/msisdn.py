"""MSISDNs, the numbers that messages go to (wire contract §9): the door to everything about them.

A canonical MSISDN is an int, the E.164 digits. `numberplan` says what can be a mobile and where, `numberform`
reads what people write, `numbercheck` does both for whole lists, `numberjson` takes those apart.
"""

from cooee.model.numbercheck import Checked, NumberCheck
from cooee.model.numberform import parse
from cooee.model.numberjson import split_json_array
from cooee.model.numberplan import country_calling_code, country_of, is_home, is_in, is_mobile

__all__ = [
    "Checked",
    "NumberCheck",
    "country_calling_code",
    "country_of",
    "is_home",
    "is_in",
    "is_mobile",
    "parse",
    "split_json_array",
]
