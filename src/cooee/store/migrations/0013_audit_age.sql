-- Old lines of the audit log go (service/keeping.py), and are looked for once a minute.

CREATE INDEX audit_at ON audit (at);
