-- The operator's side of the console: who changed what.

-- Written in the transaction of the change itself, so that none is missing and none tells of what did not happen.
-- Names, not ids: accounts and carriers may be gone when it is read. Never a password or the text of a message.
CREATE TABLE audit (
    id         {serial},
    at         BIGINT NOT NULL,
    actor_kind TEXT NOT NULL,                       -- operator, account, cli
    actor      TEXT NOT NULL,                       -- the name of an operator or an account; '' for the command line
    action     TEXT NOT NULL,                       -- service/audit.py
    account    TEXT NOT NULL,                       -- whose; '' for none
    carrier    TEXT NOT NULL,                       -- which; '' for none
    detail     TEXT NOT NULL
);
CREATE INDEX audit_account ON audit (account, id) WHERE account <> '';
CREATE INDEX audit_carrier ON audit (carrier, id) WHERE carrier <> '';
CREATE INDEX audit_actor ON audit (actor, id);
