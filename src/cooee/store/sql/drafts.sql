-- Messages that are being written in the console, with their recipients, and files that were uploaded for them.

-- name: add_draft
INSERT INTO draft (account_id, id, created_at, body, send_key) VALUES (:account_id, :id, :now, :body, :send_key);

-- name: add_draft_numbers rows(no bigint, numbers bytes)
INSERT INTO draft_numbers (account_id, draft_id, no, numbers)
SELECT CAST(:account_id AS BIGINT), CAST(:id AS BIGINT), r.no, r.numbers FROM {rows} AS r WHERE true;

-- name: find_draft
SELECT created_at, body, send_key, campaign_id FROM draft WHERE account_id = :account_id AND id = :id;

-- name: set_draft
UPDATE draft SET body = :body WHERE account_id = :account_id AND id = :id AND campaign_id IS NULL;

-- name: draft_sent
UPDATE draft SET campaign_id = :campaign_id WHERE account_id = :account_id AND id = :id;

-- name: draft_numbers
SELECT no, numbers FROM draft_numbers WHERE account_id = :account_id AND draft_id = :id AND no > :after
ORDER BY no LIMIT :limit;

-- name: drop_draft_numbers
DELETE FROM draft_numbers WHERE account_id = :account_id AND draft_id = :id AND no IN (
    SELECT no FROM draft_numbers WHERE account_id = :account_id AND draft_id = :id ORDER BY no LIMIT :limit);

-- name: drop_draft
DELETE FROM draft WHERE account_id = :account_id AND id = :id;

-- name: old_drafts
SELECT account_id, id FROM draft WHERE created_at < :before ORDER BY created_at LIMIT 20;

-- name: opted_out_among rows(destination bigint)
SELECT COUNT(*) FROM {rows} AS r
JOIN optout o ON o.account_id = :account_id AND o.destination = r.destination;

-- name: add_upload
INSERT INTO upload (account_id, id, created_at, name, size) VALUES (:account_id, :id, :now, :name, :size);

-- name: add_upload_piece
INSERT INTO upload_piece (account_id, upload_id, no, body) VALUES (:account_id, :id, :no, :body);

-- name: find_upload
SELECT name, size, created_at, progress FROM upload WHERE account_id = :account_id AND id = :id;

-- name: begin_upload
-- Whoever asks first does it.
UPDATE upload SET progress = :progress WHERE account_id = :account_id AND id = :id AND progress IS NULL;

-- name: set_upload
UPDATE upload SET progress = :progress WHERE account_id = :account_id AND id = :id;

-- name: upload_piece
SELECT body FROM upload_piece WHERE account_id = :account_id AND upload_id = :id AND no = :no;

-- name: drop_upload_pieces
DELETE FROM upload_piece WHERE account_id = :account_id AND upload_id = :id AND no IN (
    SELECT no FROM upload_piece WHERE account_id = :account_id AND upload_id = :id ORDER BY no LIMIT :limit);

-- name: drop_upload
DELETE FROM upload WHERE account_id = :account_id AND id = :id;

-- name: old_uploads
SELECT account_id, id FROM upload WHERE created_at < :before ORDER BY created_at LIMIT 20;
