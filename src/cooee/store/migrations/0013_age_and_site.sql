-- Old lines of the audit log go (service/keeping.py), and are looked for once a minute.

CREATE INDEX audit_at ON audit (at);

-- The wider network that a try to sign up came from, for its own limit (service/throttle.py); '' for none.
ALTER TABLE signup_try ADD COLUMN site TEXT NOT NULL DEFAULT '';
CREATE INDEX signup_try_site ON signup_try (site, at) WHERE site <> '';
