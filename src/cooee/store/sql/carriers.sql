-- Carriers: few rows, read whole by every engine each few seconds; `version` tells it that something changed.

-- name: all_carriers
-- Removed ones too: messages that are out, or uncertain, still belong to them.
SELECT id, name, kind, state, settings, secret, tps, binds, version FROM carrier ORDER BY id;

-- name: carrier_by_name [sqlite]
SELECT id, name, kind, state, settings, secret, tps, binds, version FROM carrier WHERE name = :name AND state <> 3;

-- name: carrier_by_name [postgres]
-- Whoever reads it here is about to change it.
SELECT id, name, kind, state, settings, secret, tps, binds, version FROM carrier WHERE name = :name AND state <> 3
FOR UPDATE;

-- name: add_carrier
INSERT INTO carrier (id, name, kind, state, settings, secret, tps, binds, version, created_at)
VALUES (:id, :name, :kind, 1, :settings, :secret, :tps, :binds, 1, :now)
ON CONFLICT (name) DO NOTHING;

-- name: set_carrier
UPDATE carrier SET settings = :settings, secret = :secret, tps = :tps, binds = :binds, version = version + 1
WHERE id = :id;

-- name: set_carrier_state
UPDATE carrier SET state = :state, version = version + 1 WHERE id = :id AND state <> :state;

-- name: remove_carrier
-- The row stays, for messages point to it; its name becomes free and its secret is forgotten.
UPDATE carrier SET state = 3, name = :gone, secret = '', version = version + 1 WHERE id = :id;
