-- Reply webhooks (wire contract §7). On PostgreSQL rows are locked in the order webhook, webhook_delivery, reply.

-- name: enqueue_deliveries rows(account_id bigint, reply_id bigint)
-- In the transaction that stores the replies: one statement for all of a group, nothing for accounts without webhook.
INSERT INTO webhook_delivery (account_id, reply_id, state, attempts, created_at, next_at, reason, excerpt)
SELECT r.account_id, r.reply_id, 1, 0, CAST(:now AS BIGINT), CAST(:now AS BIGINT), '', ''
FROM {rows} AS r WHERE EXISTS (SELECT 1 FROM webhook w WHERE w.account_id = r.account_id AND w.state = 1)
ON CONFLICT (account_id, reply_id) DO NOTHING;

-- name: due_webhooks
-- Webhooks that have something due and that are ours or nobody's. One probe of webhook_delivery_due for each webhook,
-- however much waits there. A block that lies further ahead than any can is from before the clock was set back.
SELECT w.account_id, w.owner FROM webhook w CROSS JOIN account a
WHERE a.id = w.account_id AND w.state = 1 AND a.state = 1 AND (w.owner IS NULL OR w.owner = :owner)
  AND (w.blocked_until <= :now OR w.blocked_until > :now + :longest_block)
  AND EXISTS (SELECT 1 FROM webhook_delivery d WHERE d.account_id = w.account_id AND d.state = 1 AND d.next_at <= :now);

-- name: claim_webhooks [sqlite] rows(account_id bigint)
UPDATE webhook SET owner = :owner
WHERE account_id IN (SELECT r.account_id FROM {rows} AS r) AND owner IS NULL AND state = 1
RETURNING account_id, version, url, username, secret, failures, down_since, blocked_until;

-- name: claim_webhooks [postgres] rows(account_id bigint)
-- Peers claim at the same time: what is locked is theirs.
UPDATE webhook SET owner = :owner
WHERE account_id IN (
    SELECT w.account_id FROM webhook w WHERE w.account_id IN (SELECT r.account_id FROM {rows} AS r)
      AND w.owner IS NULL AND w.state = 1
    FOR UPDATE SKIP LOCKED)
RETURNING account_id, version, url, username, secret, failures, down_since, blocked_until;

-- name: held_webhooks
-- What this engine has, for seeing changes by a person and what a peer took over.
SELECT w.account_id, w.version, w.state, a.state FROM webhook w JOIN account a ON a.id = w.account_id
WHERE w.owner = :owner;

-- name: webhook_shares
-- How many webhooks each engine has; how many wait for one is told by due_webhooks.
SELECT owner, COUNT(*) FROM webhook WHERE owner IS NOT NULL GROUP BY owner;

-- name: release_webhooks rows(account_id bigint)
UPDATE webhook SET owner = NULL WHERE account_id IN (SELECT r.account_id FROM {rows} AS r) AND +owner = :owner;

-- name: drop_webhook_leases
UPDATE webhook SET owner = NULL WHERE owner = :owner;

-- name: due_replies [sqlite] rows(account_id bigint) json(account_id, reply_id, attempts, created_at, give_up_at, originator, recipient, reference, body)
SELECT d.account_id, d.reply_id, d.attempts, d.created_at, d.give_up_at, p.originator, p.recipient, p.reference,
    p.body
FROM {rows} AS r
CROSS JOIN webhook_delivery d ON d.account_id = r.account_id AND d.reply_id IN (
    SELECT x.reply_id FROM webhook_delivery x
    WHERE x.account_id = r.account_id AND x.state = 1 AND x.next_at <= :now
    ORDER BY x.next_at, x.reply_id LIMIT :each)
CROSS JOIN reply p ON p.account_id = d.account_id AND p.id = d.reply_id
ORDER BY d.account_id, d.next_at, d.reply_id;

-- name: due_replies [postgres] rows(account_id bigint)
-- The next few of each webhook, in the order they became due.
SELECT d.account_id, d.reply_id, d.attempts, d.created_at, d.give_up_at, p.originator, p.recipient, p.reference,
    p.body
FROM {rows} AS r
CROSS JOIN LATERAL (
    SELECT x.account_id, x.reply_id, x.attempts, x.created_at, x.give_up_at, x.next_at FROM webhook_delivery x
    WHERE x.account_id = r.account_id AND x.state = 1 AND x.next_at <= :now
    ORDER BY x.next_at, x.reply_id LIMIT :each) d
JOIN reply p ON p.account_id = d.account_id AND p.id = d.reply_id
ORDER BY d.account_id, d.next_at, d.reply_id;

-- name: webhook_health rows(account_id bigint, failures bigint, down_since bigint, blocked_until bigint)
UPDATE webhook AS w SET failures = r.failures, down_since = r.down_since, blocked_until = r.blocked_until
FROM {rows} AS r WHERE w.account_id = r.account_id AND +w.owner = :owner;

-- name: deliveries_taken rows(account_id bigint, reply_id bigint, at bigint, status bigint)
-- The receiver has them, whoever owns the webhook by now, and even if a person parked them meanwhile.
UPDATE webhook_delivery AS d SET state = 2, attempts = d.attempts + 1, last_at = r.at, status = r.status, reason = '',
    excerpt = ''
FROM {rows} AS r WHERE d.account_id = r.account_id AND d.reply_id = r.reply_id AND d.state <> 2;

-- name: retrieved_by_webhook rows(account_id bigint, reply_id bigint, at bigint, status bigint)
-- /api/replies passes them on no more.
UPDATE reply AS p SET retrieved_at = r.at FROM {rows} AS r
WHERE p.account_id = r.account_id AND p.id = r.reply_id AND p.retrieved_at IS NULL;

-- name: deliveries_failed rows(account_id bigint, reply_id bigint, attempts bigint, state bigint, next_at bigint, give_up_at bigint, at bigint, status bigint, reason text, excerpt text)
UPDATE webhook_delivery AS d SET state = r.state, attempts = d.attempts + 1, next_at = r.next_at,
    give_up_at = r.give_up_at, last_at = r.at, status = r.status, reason = r.reason, excerpt = r.excerpt
FROM {rows} AS r
WHERE d.account_id = r.account_id AND d.reply_id = r.reply_id AND d.state = 1 AND d.attempts = r.attempts;

-- name: park_expired
-- The receiver has been down so long that replies which were held back, never tried, would have been given up too.
UPDATE webhook_delivery SET state = 3, last_at = COALESCE(last_at, CAST(:now AS BIGINT)),
    reason = CASE WHEN reason = '' THEN CAST(:reason AS TEXT) ELSE reason END
WHERE account_id = :account_id AND reply_id IN (
    SELECT d.reply_id FROM webhook_delivery d
    WHERE d.account_id = :account_id AND d.state = 1
      AND (d.give_up_at <= :now OR (d.give_up_at IS NULL AND d.created_at <= :untried_before))
    ORDER BY d.next_at, d.reply_id LIMIT 500);

-- name: park_all
-- A webhook that was taken away: what still waits for it is passed on by /api/replies alone.
UPDATE webhook_delivery SET state = 3, last_at = COALESCE(last_at, CAST(:now AS BIGINT)), reason = 'the webhook was taken away'
WHERE account_id = :account_id AND reply_id IN (
    SELECT d.reply_id FROM webhook_delivery d WHERE d.account_id = :account_id AND d.state = 1
    ORDER BY d.next_at, d.reply_id LIMIT 500);

-- name: removed_webhooks
-- Taken away with something still waiting: replies that came in while that was under way.
SELECT w.account_id FROM webhook w WHERE w.state = 2
  AND EXISTS (SELECT 1 FROM webhook_delivery d WHERE d.account_id = w.account_id AND d.state = 1);

-- name: most_overdue
-- Since when something has been due at a receiver that is not held back, NULL where nothing waits; and how many are.
SELECT
    (SELECT MIN((SELECT MIN(d.next_at) FROM webhook_delivery d WHERE d.account_id = w.account_id AND d.state = 1))
     FROM webhook w CROSS JOIN account a
     WHERE a.id = w.account_id AND w.state = 1 AND a.state = 1 AND w.blocked_until <= :now),
    (SELECT COUNT(*) FROM webhook w WHERE w.state = 1 AND w.blocked_until > :now);

-- name: webhook_of
SELECT state, version, url, username, secret, changed_at, failures, down_since, blocked_until
FROM webhook WHERE account_id = :account_id;

-- name: put_webhook
-- Whatever a person changes is tried at once.
INSERT INTO webhook (account_id, state, version, url, username, secret, changed_at, failures, blocked_until)
VALUES (:account_id, :state, 1, :url, :username, :secret, :now, 0, 0)
ON CONFLICT (account_id) DO UPDATE SET state = excluded.state, version = webhook.version + 1, url = excluded.url,
    username = excluded.username, secret = excluded.secret, changed_at = excluded.changed_at, failures = 0,
    down_since = NULL, blocked_until = 0;

-- name: count_waiting
-- The second column of the index in the condition keeps SQLite from walking all of an account by the primary key.
SELECT COUNT(*), MIN(created_at), MIN(next_at) FROM webhook_delivery
WHERE account_id = :account_id AND state = 1 AND next_at > 0;

-- name: count_parked
SELECT COUNT(*) FROM webhook_delivery WHERE account_id = :account_id AND state = 3 AND last_at > 0;

-- name: delivery_log
-- The newest of an account.
SELECT a.name, a.zone, d.reply_id, d.state, d.attempts, d.created_at, d.next_at, d.last_at, d.status, d.reason,
    d.excerpt, p.originator, p.recipient
FROM webhook_delivery d JOIN account a ON a.id = d.account_id
LEFT JOIN reply p ON p.account_id = d.account_id AND p.id = d.reply_id
WHERE d.account_id = :account_id AND (CAST(:state AS BIGINT) IS NULL OR d.state = :state)
ORDER BY d.reply_id DESC LIMIT :limit;

-- name: parked_deliveries
-- The oldest that were given up: of one account, or of all.
SELECT a.name, a.zone, d.reply_id, d.state, d.attempts, d.created_at, d.next_at, d.last_at, d.status, d.reason,
    d.excerpt, p.originator, p.recipient
FROM webhook_delivery d JOIN account a ON a.id = d.account_id
LEFT JOIN reply p ON p.account_id = d.account_id AND p.id = d.reply_id
WHERE d.state = 3 AND (CAST(:account_id AS BIGINT) IS NULL OR d.account_id = :account_id)
ORDER BY d.account_id, d.last_at, d.reply_id LIMIT :limit;

-- name: parked_page
-- The same in pages.
SELECT a.name, a.zone, d.reply_id, d.state, d.attempts, d.created_at, d.next_at, d.last_at, d.status, d.reason,
    d.excerpt, p.originator, p.recipient, d.account_id, COALESCE(d.last_at, 0)
FROM webhook_delivery d JOIN account a ON a.id = d.account_id
LEFT JOIN reply p ON p.account_id = d.account_id AND p.id = d.reply_id
WHERE d.state = 3 AND (d.account_id, COALESCE(d.last_at, 0), d.reply_id) > (:account_after, :at_after, :reply_after)
  AND (CAST(:account_id AS BIGINT) IS NULL OR d.account_id = :account_id)
ORDER BY d.account_id, COALESCE(d.last_at, 0), d.reply_id LIMIT :limit;

-- name: replay_one
-- Parked, or waiting for a later attempt: due now, and its schedule begins anew.
UPDATE webhook_delivery SET state = 1, next_at = :now, give_up_at = NULL, attempts = 0
WHERE account_id = :account_id AND reply_id = :reply_id AND state IN (1, 3);

-- name: replay_parked
-- The same for up to 500 parked ones, oldest first.
UPDATE webhook_delivery SET state = 1, next_at = :now, give_up_at = NULL, attempts = 0
WHERE account_id = :account_id AND reply_id IN (
    SELECT d.reply_id FROM webhook_delivery d WHERE d.account_id = :account_id AND d.state = 3
    ORDER BY d.last_at, d.reply_id LIMIT 500);

-- name: unblock_webhook
UPDATE webhook SET failures = 0, down_since = NULL, blocked_until = 0, version = version + 1 WHERE account_id = :account_id;
