-- What can still be changed of a campaign that has not started (wire contract §4).

-- name: lock_unstarted [sqlite]
SELECT state, started_at, originator, body, encoding, segments, due_at, wake_at, messages, credits FROM campaign
WHERE account_id = :account_id AND id = :id AND state <> 0;

-- name: lock_unstarted [postgres]
-- Its account is locked before it: whoever moves credits holds both, in that order.
SELECT state, started_at, originator, body, encoding, segments, due_at, wake_at, messages, credits FROM campaign
WHERE account_id = :account_id AND id = :id AND state <> 0 FOR UPDATE;

-- name: change_campaign
UPDATE campaign SET state = :state, originator = :originator, body = :body, encoding = :encoding,
    segments = :segments, due_at = :due_at, wake_at = :wake_at, credits = :credits
WHERE account_id = :account_id AND id = :id;

-- name: change_price
-- Every recipient costs another number of segments, at the rate that it was charged at: what a refund gives back later
-- is read from the batches.
UPDATE batch SET credits_each = credits_each / CAST(:before AS BIGINT) * CAST(:after AS BIGINT)
WHERE account_id = :account_id AND campaign_id = :id;

-- name: lock_reference [sqlite]

-- name: lock_reference [postgres]
-- Creates with the same reference go one after the other, before there is a row that they could lock.
SELECT pg_advisory_xact_lock(hashtextextended(CAST(:reference AS TEXT), CAST(:account_id AS BIGINT)));

-- name: appendable
-- What a create with this reference may add to, newest first. A campaign due at once has no due_at.
SELECT id FROM campaign
WHERE account_id = :account_id AND reference = :reference AND state IN (1, 4) AND started_at IS NULL
  AND originator = :originator AND body = :body
  AND (due_at = CAST(:asked_at AS BIGINT) OR (due_at IS NULL AND CAST(:due_at AS BIGINT) IS NULL))
ORDER BY id DESC LIMIT 5;

-- name: unstarted_like rows(place bigint, account_id bigint, reference text)
-- For which of these creates there may be a campaign to add to. SQLite takes a CROSS JOIN in the order as written.
SELECT DISTINCT r.place FROM {rows} AS r CROSS JOIN campaign c
WHERE c.account_id = r.account_id AND c.reference = r.reference AND c.state IN (1, 4) AND c.started_at IS NULL;

-- name: last_batch
-- The numbers from 1,000,000,000 on are for retries.
SELECT no FROM batch WHERE account_id = :account_id AND campaign_id = :id AND no < 1000000000
ORDER BY no DESC LIMIT 1;

-- name: batch_numbers
SELECT no, numbers FROM batch
WHERE account_id = :account_id AND campaign_id = :id AND no > :after AND no < 1000000000
ORDER BY no LIMIT :limit;

-- name: grow_campaign
UPDATE campaign SET messages = messages + :messages, credits = credits + :credits, batches = batches + :batches,
    dropped_invalid = dropped_invalid + :invalid, dropped_duplicate = dropped_duplicate + :duplicate,
    dropped_international = dropped_international + :international
WHERE account_id = :account_id AND id = :id;

-- name: adopt_batches
-- What was written unseen under an id of its own goes over to the campaign that it belongs to.
UPDATE batch SET campaign_id = :target, no = no + :behind WHERE account_id = :account_id AND campaign_id = :id;
