-- The key file's fingerprint, kept by the database that was empty when the key was made.

-- name: claim_meta
-- Writes a fact that must be written once. On PostgreSQL a second node waits here for the first one's commit, and
-- then finds its value.
INSERT INTO meta (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING;
