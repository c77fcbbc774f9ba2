-- The console's sessions, and the operators.

-- name: add_session
INSERT INTO session (token_hash, account_id, operator_id, password_tag, created_at, seen_at, expires_at)
VALUES (:token_hash, :account_id, :operator_id, :password_tag, :now, :now, :expires_at);

-- name: find_session
-- Neither over, nor left alone for too long.
SELECT account_id, operator_id, password_tag, seen_at FROM session
WHERE token_hash = :token_hash AND expires_at > :now AND seen_at > :idle_since;

-- name: see_session
UPDATE session SET seen_at = :now WHERE token_hash = :token_hash AND seen_at < :now;

-- name: drop_session
DELETE FROM session WHERE token_hash = :token_hash;

-- name: drop_sessions_of
-- Of one account or of one operator, all but the one at hand.
DELETE FROM session WHERE token_hash <> :but
  AND (account_id = CAST(:account_id AS BIGINT) OR operator_id = CAST(:operator_id AS BIGINT));

-- name: drop_dead_sessions
DELETE FROM session WHERE expires_at <= :now OR seen_at <= :idle_since;

-- name: add_operator
INSERT INTO operator (id, name, password_hash, created_at) VALUES (:id, :name, :password_hash, :now)
ON CONFLICT (name) DO NOTHING;

-- name: operator_by_name
SELECT id, name, password_hash, created_at FROM operator WHERE name = :name;

-- name: operator_by_id
SELECT id, name, password_hash, created_at FROM operator WHERE id = :id;

-- name: list_operators
SELECT id, name, password_hash, created_at FROM operator ORDER BY name;

-- name: set_operator_password
UPDATE operator SET password_hash = :password_hash WHERE id = :id;

-- name: drop_operator
DELETE FROM operator WHERE id = :id;
