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
-- Every recipient costs another number of segments: what a refund gives back later is read from the batches.
UPDATE batch SET credits_each = :credits_each WHERE account_id = :account_id AND campaign_id = :id;
