-- What is old goes, in pieces. Which rows, when and why: service/retention.py.

-- name: campaigns_by_age json(account_id, id, created_at, messages, over)
-- A page of all campaigns, the oldest first: ids rise with time, but for the block of a thousand that each node takes
-- its own from. `over` is when it ended, and NULL for one that stays: it goes on, or something of it is out or
-- uncertain. Those are asked for as a whole, from their small indexes: asking by campaign could walk a million rows.
SELECT c.account_id, c.id, c.created_at, c.messages,
    CASE WHEN c.state IN (5, 6) AND c.finished_at < :before
        AND (c.account_id, c.id) NOT IN (SELECT m.account_id, m.campaign_id FROM message m WHERE m.state = 2)
        AND (c.account_id, c.id) NOT IN (SELECT b.account_id, b.campaign_id FROM batch b WHERE b.state = 4)
    THEN c.finished_at END AS over
FROM campaign c WHERE c.id > :after ORDER BY c.id LIMIT :limit;

-- name: campaign_that_stays
-- Whether anything in a range of ids must stay; the newest, which is the likeliest, is looked at first.
SELECT c.id FROM campaign c WHERE c.id >= :low AND c.id < :high
    AND NOT (c.state IN (5, 6) AND c.finished_at < :before
        AND (c.account_id, c.id) NOT IN (SELECT m.account_id, m.campaign_id FROM message m WHERE m.state = 2)
        AND (c.account_id, c.id) NOT IN (SELECT b.account_id, b.campaign_id FROM batch b WHERE b.state = 4))
ORDER BY c.id DESC LIMIT 1;

-- name: lock_over [sqlite] rows(account_id bigint, id bigint)
SELECT c.account_id, c.id FROM {rows} AS r CROSS JOIN campaign c
WHERE c.account_id = r.account_id AND c.id = r.id AND c.state IN (5, 6) AND c.finished_at < :before
    AND (c.account_id, c.id) NOT IN (SELECT m.account_id, m.campaign_id FROM message m WHERE m.state = 2)
    AND (c.account_id, c.id) NOT IN (SELECT b.account_id, b.campaign_id FROM batch b WHERE b.state = 4);

-- name: lock_over [postgres] rows(account_id bigint, id bigint)
-- Those of the given campaigns that may go, judged again. What somebody holds is left to the next time.
SELECT c.account_id, c.id FROM {rows} AS r JOIN campaign c ON c.account_id = r.account_id AND c.id = r.id
WHERE c.state IN (5, 6) AND c.finished_at < :before
    AND (c.account_id, c.id) NOT IN (SELECT m.account_id, m.campaign_id FROM message m WHERE m.state = 2)
    AND (c.account_id, c.id) NOT IN (SELECT b.account_id, b.campaign_id FROM batch b WHERE b.state = 4)
ORDER BY c.account_id, c.id FOR UPDATE OF c SKIP LOCKED;

-- name: keep_past rows(account_id bigint, id bigint)
INSERT INTO campaign_past (account_id, id, messages, segments, reference, removed_at, swept)
SELECT c.account_id, c.id, c.messages, c.segments, c.reference, CAST(:now AS BIGINT), CAST(:swept AS SMALLINT)
FROM {rows} AS r CROSS JOIN campaign c WHERE c.account_id = r.account_id AND c.id = r.id;

-- name: drop_campaigns rows(account_id bigint, id bigint)
-- From here on nobody finds them: -930, no reports, nothing to claim.
DELETE FROM campaign WHERE (account_id, id) IN (SELECT r.account_id, r.id FROM {rows} AS r);

-- name: drop_messages_of [sqlite] rows(account_id bigint, id bigint)
DELETE FROM message WHERE (account_id, campaign_id) IN (SELECT r.account_id, r.id FROM {rows} AS r);

-- name: drop_messages_of [postgres] rows(account_id bigint, id bigint)
-- Nothing: a join with many keys knows no partition, and reads all of the table where one campaign has most of it. A
-- statement for each campaign does neither (store/retention.py).

-- name: drop_batches_of rows(account_id bigint, id bigint)
DELETE FROM batch WHERE (account_id, campaign_id) IN (SELECT r.account_id, r.id FROM {rows} AS r);

-- name: drop_attempts_of rows(account_id bigint, id bigint)
DELETE FROM attempt WHERE (account_id, campaign_id) IN (SELECT r.account_id, r.id FROM {rows} AS r);

-- name: drop_lists_of rows(account_id bigint, id bigint)
DELETE FROM campaign_list WHERE (account_id, campaign_id) IN (SELECT r.account_id, r.id FROM {rows} AS r);

-- name: drop_counts_of rows(account_id bigint, id bigint)
DELETE FROM campaign_count WHERE (account_id, campaign_id) IN (SELECT r.account_id, r.id FROM {rows} AS r);

-- name: drop_courses_of rows(account_id bigint, id bigint)
DELETE FROM campaign_course WHERE (account_id, campaign_id) IN (SELECT r.account_id, r.id FROM {rows} AS r);

-- name: drop_console_answers_of rows(account_id bigint, id bigint)
DELETE FROM reply_answer WHERE (account_id, campaign_id) IN (SELECT r.account_id, r.id FROM {rows} AS r);

-- name: retire_batches
-- Batches of a deleted campaign that nobody came across: out of the carriers' queues before their campaign goes.
UPDATE batch SET state = 6 WHERE account_id = :account_id AND campaign_id = :id AND no IN (
    SELECT no FROM batch WHERE account_id = :account_id AND campaign_id = :id AND state IN (1, 2, 3)
    ORDER BY no LIMIT :limit);

-- name: unswept
SELECT account_id, id FROM campaign_past WHERE swept = 0 ORDER BY id LIMIT 1;

-- name: drop_message_piece
-- In key order: what lies side by side goes in one go.
DELETE FROM message WHERE account_id = :account_id AND campaign_id = :id AND destination <= (
    SELECT MAX(p.destination) FROM (SELECT destination FROM message
        WHERE account_id = :account_id AND campaign_id = :id ORDER BY destination LIMIT :limit) AS p);

-- name: drop_attempt_piece
DELETE FROM attempt WHERE account_id = :account_id AND campaign_id = :id AND destination <= (
    SELECT MAX(p.destination) FROM (SELECT destination FROM attempt
        WHERE account_id = :account_id AND campaign_id = :id ORDER BY destination LIMIT :limit) AS p);

-- name: drop_batch_piece
DELETE FROM batch WHERE account_id = :account_id AND campaign_id = :id AND no <= (
    SELECT MAX(p.no) FROM (SELECT no FROM batch
        WHERE account_id = :account_id AND campaign_id = :id ORDER BY no LIMIT :limit) AS p);

-- name: set_swept
UPDATE campaign_past SET swept = 1 WHERE account_id = :account_id AND id = :id;

-- name: old_replies
-- A page of an account's old replies, and whether each may go: it was passed on, and its webhook is done with it.
SELECT r.id, r.received_at, CASE WHEN r.retrieved_at IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM webhook_delivery d WHERE d.account_id = r.account_id AND d.reply_id = r.id AND d.state <> 2)
    THEN 1 ELSE 0 END
FROM reply r WHERE r.account_id = :account_id AND r.received_at < :before
    AND (r.received_at, r.id) > (:received_at, :id)
ORDER BY r.received_at, r.id LIMIT :limit;

-- name: drop_deliveries rows(id bigint)
DELETE FROM webhook_delivery WHERE account_id = :account_id AND reply_id IN (SELECT r.id FROM {rows} AS r)
    AND +state = 2;

-- name: drop_replies rows(id bigint)
DELETE FROM reply WHERE account_id = :account_id AND id IN (SELECT r.id FROM {rows} AS r)
    AND +retrieved_at IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM webhook_delivery d WHERE d.account_id = reply.account_id AND d.reply_id = reply.id);

-- name: ref_carriers [sqlite]
SELECT id FROM carrier ORDER BY id;

-- name: ref_carriers [postgres]

-- name: ref_boundary [sqlite]
-- Where a stretch of a carrier's ids ends. There is no index by time, for it would cost more with every message than
-- walking along the key does a few times a day.
SELECT smsc_id, at FROM segment_ref WHERE carrier_id = :carrier_id AND (smsc_id, at) > (:smsc_id, :at)
ORDER BY smsc_id, at LIMIT 1 OFFSET :skip;

-- name: ref_boundary [postgres]

-- name: old_refs [sqlite]
SELECT COUNT(*) FROM segment_ref WHERE carrier_id = :carrier_id AND (smsc_id, at) > (:smsc_id, :at)
    AND (smsc_id, at) <= (:last_id, :last_at) AND at < :before;

-- name: old_refs [postgres]

-- name: drop_refs [sqlite]
DELETE FROM segment_ref WHERE carrier_id = :carrier_id AND (smsc_id, at) > (:smsc_id, :at)
    AND (smsc_id, at) <= (:last_id, :last_at) AND at < :before;

-- name: drop_refs [postgres]

-- name: count_old_refs [sqlite]

-- name: count_old_refs [postgres]
-- For a person who asks: reads the partitions of those days.
SELECT COUNT(*) FROM segment_ref WHERE at < :before;

-- name: drop_stray_refs [sqlite]

-- name: drop_stray_refs [postgres]
-- What came before its day had a partition.
DELETE FROM segment_ref_default WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM segment_ref_default WHERE at < :before LIMIT :limit));

-- name: drop_partition [sqlite]

-- name: drop_partition [postgres]
SELECT drop_partition(CAST(:parent AS TEXT), CAST(:child AS TEXT), :low, :high);

-- name: drop_old_keys
DELETE FROM idempotency WHERE (account_id, key) IN (
    SELECT account_id, key FROM idempotency WHERE at < :before ORDER BY at LIMIT :limit);

-- name: count_old_keys
SELECT COUNT(*) FROM idempotency WHERE at < :before;

-- name: drop_old_seen
DELETE FROM inbound_seen WHERE (carrier_id, digest, connection, no) IN (
    SELECT carrier_id, digest, connection, no FROM inbound_seen WHERE at < :before ORDER BY at LIMIT :limit);

-- name: count_old_seen
SELECT COUNT(*) FROM inbound_seen WHERE at < :before;

-- name: drop_old_answers
DELETE FROM auto_answer WHERE (account_id, handset, day) IN (
    SELECT account_id, handset, day FROM auto_answer WHERE at < :before AND state <> 0 ORDER BY at LIMIT :limit);

-- name: count_old_answers
SELECT COUNT(*) FROM auto_answer WHERE at < :before AND state <> 0;

-- name: drop_old_contacts
DELETE FROM last_contact WHERE (number, handset, account_id) IN (
    SELECT number, handset, account_id FROM last_contact WHERE at < :before ORDER BY at LIMIT :limit);

-- name: count_old_contacts
SELECT COUNT(*) FROM last_contact WHERE at < :before;

-- name: drop_old_orphans
DELETE FROM orphan_receipt WHERE id IN (
    SELECT id FROM orphan_receipt WHERE at < :before ORDER BY at LIMIT :limit);

-- name: count_old_orphans
SELECT COUNT(*) FROM orphan_receipt WHERE at < :before;

-- name: drop_old_quarantine
-- Receipts only: a reply in there is still to be passed on.
DELETE FROM quarantine WHERE id IN (
    SELECT id FROM quarantine WHERE kind = 'receipt' AND at < :before ORDER BY at LIMIT :limit);

-- name: count_old_quarantine
SELECT COUNT(*) FROM quarantine WHERE kind = 'receipt' AND at < :before;

-- name: drop_old_optouts
DELETE FROM optout_past WHERE (account_id, destination, added_at, deleted_at) IN (
    SELECT account_id, destination, added_at, deleted_at FROM optout_past
    WHERE deleted_at < :before ORDER BY deleted_at LIMIT :limit);

-- name: count_old_optouts
SELECT COUNT(*) FROM optout_past WHERE deleted_at < :before;

-- name: drop_old_audit
DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < :before ORDER BY at LIMIT :limit);

-- name: count_old_audit
SELECT COUNT(*) FROM audit WHERE at < :before;
