-- Replies as they come in: known ones passed over, parts joined, the rest stored.

-- name: lock_inbound [sqlite]

-- name: lock_inbound [postgres]
-- What comes in over one carrier is stored by one transaction at a time, whatever node it came to: two of them would
-- each store a part and not see the other's, or store the same message twice.
SELECT pg_advisory_xact_lock(6516591, CAST(:carrier_id AS INTEGER));

-- name: find_seen rows(digest bigint) json(digest, connection, no, at)
-- SQLite takes a CROSS JOIN in the order as written, here as in what follows: from the few rows to the large table.
SELECT s.digest, s.connection, s.no, s.at FROM {rows} AS r CROSS JOIN inbound_seen s
WHERE s.carrier_id = :carrier_id AND s.digest = r.digest;

-- name: add_seen rows(digest bigint, connection bigint, no bigint, at bigint)
INSERT INTO inbound_seen (carrier_id, digest, connection, no, at)
SELECT CAST(:carrier_id AS BIGINT), r.digest, r.connection, r.no, r.at FROM {rows} AS r;

-- name: drop_seen rows(digest bigint, connection bigint, no bigint)
DELETE FROM inbound_seen WHERE (carrier_id, digest, connection, no) IN (
    SELECT CAST(:carrier_id AS BIGINT), r.digest, r.connection, r.no FROM {rows} AS r);

-- name: parts_of rows(originator text, recipient text, concat bigint, total bigint)
-- What has come of these long messages so far.
SELECT p.originator, p.recipient, p.concat, p.total, p.no, p.ton, p.coding, p.received_at, p.body FROM {rows} AS r
CROSS JOIN reply_part p
WHERE p.carrier_id = :carrier_id AND p.originator = r.originator AND p.recipient = r.recipient
    AND p.concat = r.concat AND p.total = r.total;

-- name: add_parts rows(originator text, recipient text, concat bigint, total bigint, no bigint, ton bigint, coding bigint, received_at bigint, body bytes)
INSERT INTO reply_part (carrier_id, originator, recipient, concat, total, no, ton, coding, received_at, body)
SELECT CAST(:carrier_id AS BIGINT), r.originator, r.recipient, r.concat, r.total, r.no, r.ton, r.coding, r.received_at,
    r.body
FROM {rows} AS r;

-- name: drop_parts rows(originator text, recipient text, concat bigint, total bigint)
DELETE FROM reply_part WHERE (carrier_id, originator, recipient, concat, total) IN (
    SELECT CAST(:carrier_id AS BIGINT), r.originator, r.recipient, r.concat, r.total FROM {rows} AS r);

-- name: overdue_parts
-- Long messages whose first part has waited long enough for the others.
SELECT DISTINCT p.carrier_id, p.originator, p.recipient, p.concat, p.total, COALESCE(k.name, '')
FROM (SELECT carrier_id, originator, recipient, concat, total FROM reply_part
      WHERE received_at <= :before ORDER BY received_at LIMIT 500) AS p
LEFT JOIN carrier k ON k.id = p.carrier_id;

-- name: add_replies rows(account_id bigint, id bigint, received_at bigint, carrier_id bigint, originator text, handset bigint, recipient text, body text, kind bigint, parts bigint, missing bigint, campaign_id bigint, reference text)
-- The one door by which replies get to their accounts.
INSERT INTO reply (account_id, id, received_at, carrier_id, originator, handset, recipient, body, kind, parts, missing,
    campaign_id, reference)
SELECT r.account_id, r.id, r.received_at, r.carrier_id, r.originator, r.handset, r.recipient, r.body, r.kind, r.parts,
    r.missing, r.campaign_id, r.reference
FROM {rows} AS r;

-- name: add_unrouted rows(id bigint, received_at bigint, carrier_id bigint, originator text, handset bigint, recipient text, body text, parts bigint, missing bigint)
INSERT INTO unrouted_reply (id, received_at, carrier_id, originator, handset, recipient, body, parts, missing)
SELECT r.id, r.received_at, r.carrier_id, r.originator, r.handset, r.recipient, r.body, r.parts, r.missing
FROM {rows} AS r;

-- name: unrouted_replies
-- Newest first, for a person.
SELECT u.id, u.received_at, k.name, u.originator, u.recipient, u.body, u.parts, u.missing
FROM unrouted_reply u LEFT JOIN carrier k ON k.id = u.carrier_id
WHERE (CAST(:recipient AS TEXT) IS NULL OR u.recipient = :recipient)
ORDER BY u.received_at DESC, u.id DESC LIMIT :limit;

-- name: unrouted_before
-- The same in pages.
SELECT u.id, u.received_at, k.name, u.originator, u.recipient, u.body, u.parts, u.missing
FROM unrouted_reply u LEFT JOIN carrier k ON k.id = u.carrier_id
WHERE (u.received_at, u.id) < (:at, :id) AND (CAST(:recipient AS TEXT) IS NULL OR u.recipient = :recipient)
ORDER BY u.received_at DESC, u.id DESC LIMIT :limit;

-- name: count_unrouted
SELECT COUNT(*) FROM unrouted_reply;

-- name: count_unrouted_to
-- How many came to a number, and when the newest did.
SELECT COUNT(*), MAX(received_at) FROM unrouted_reply WHERE recipient = :recipient;

-- name: unrouted_page
-- What is to be assigned of what came to a number, in the order it came, so that a START follows its STOP.
SELECT id, received_at, carrier_id, originator, handset, recipient, body, parts, missing FROM unrouted_reply
WHERE recipient = :recipient AND (received_at, id) > (:after_at, :after_id)
ORDER BY received_at, id LIMIT 200;

-- name: unrouted_one
SELECT id, received_at, carrier_id, originator, handset, recipient, body, parts, missing FROM unrouted_reply
WHERE id = :id;

-- name: drop_unrouted rows(id bigint)
-- Which of them were there to be taken: whoever assigns the same ones at the same moment gets none.
DELETE FROM unrouted_reply WHERE id IN (SELECT r.id FROM {rows} AS r) RETURNING id;

-- name: list_replies
-- The newest replies, for a person.
SELECT r.id, r.received_at, a.name, r.originator, r.recipient, r.body, r.kind, r.parts, r.missing, r.reference,
    r.retrieved_at, a.zone
FROM reply r JOIN account a ON a.id = r.account_id
WHERE r.account_id = :account_id ORDER BY r.received_at DESC, r.id DESC LIMIT :limit;

-- name: quarantined_replies
SELECT id, at, carrier_id, body FROM quarantine WHERE kind = 'reply' AND id > :after ORDER BY id LIMIT 200;

-- name: drop_quarantined rows(id bigint)
DELETE FROM quarantine WHERE id IN (SELECT r.id FROM {rows} AS r);
