-- What an account's people see of their campaigns in the console.

-- name: history_page
-- The next campaigns below id `before`, the newest first. The word is looked for in reference, originator and text.
SELECT id, state, originator, body, segments, reference, created_at, due_at, started_at, finished_at, messages, credits
FROM campaign
WHERE account_id = :account_id AND id < :before AND state <> 0
  AND (CAST(:state AS BIGINT) IS NULL OR state = CAST(:state AS BIGINT) OR state = CAST(:state_too AS BIGINT))
  AND messages >= :least
  AND (CAST(:word AS TEXT) IS NULL OR LOWER(COALESCE(reference, '') || ' ' || originator || ' ' || body) LIKE :word ESCAPE '\')
ORDER BY id DESC LIMIT :limit;

-- name: history_active [sqlite]
-- What runs, is paused or waits for its time: what a person may have to look after, the newest first. From the indexes
-- of those that are not over: an account may have a million that are.
SELECT c.id, c.state, c.originator, c.body, c.segments, c.reference, c.created_at, c.due_at, c.started_at,
    c.finished_at, c.messages, c.credits
FROM (
    SELECT id FROM campaign INDEXED BY campaign_unstarted WHERE account_id = :account_id AND state IN (1, 4)
    UNION ALL SELECT id FROM campaign INDEXED BY campaign_starting WHERE account_id = :account_id AND state = 2
    UNION ALL SELECT id FROM campaign INDEXED BY campaign_running WHERE account_id = :account_id AND state = 3
) AS o CROSS JOIN campaign c WHERE c.account_id = :account_id AND c.id = o.id
ORDER BY c.id DESC LIMIT :limit;

-- name: history_active [postgres]
SELECT c.id, c.state, c.originator, c.body, c.segments, c.reference, c.created_at, c.due_at, c.started_at,
    c.finished_at, c.messages, c.credits
FROM (
    SELECT id FROM campaign WHERE account_id = :account_id AND state IN (1, 4)
    UNION ALL SELECT id FROM campaign WHERE account_id = :account_id AND state = 2
    UNION ALL SELECT id FROM campaign WHERE account_id = :account_id AND state = 3
) AS o CROSS JOIN campaign c WHERE c.account_id = :account_id AND c.id = o.id
ORDER BY c.id DESC LIMIT :limit;

-- name: history_one
SELECT id, state, originator, body, segments, reference, created_at, due_at, started_at, finished_at, messages, credits,
    encoding, wake_at, stopped_at, dropped_invalid, dropped_duplicate, dropped_international
FROM campaign WHERE account_id = :account_id AND id = :id AND state <> 0;

-- name: history_kept_counts rows(id bigint)
-- Counters of many large campaigns at once.
SELECT k.campaign_id, k.state, k.messages FROM {rows} AS r
JOIN campaign_count k ON k.account_id = :account_id AND k.campaign_id = r.id;

-- name: history_counts [sqlite] rows(id bigint)
-- Recipients of small campaigns by state, from the rows themselves.
SELECT m.campaign_id, m.state, COUNT(*) FROM message m
WHERE m.account_id = :account_id AND m.campaign_id IN (SELECT r.id FROM {rows} AS r)
GROUP BY m.campaign_id, m.state;

-- name: history_counts [postgres] rows(id bigint)
-- An array is looked up in the primary key, campaign by campaign.
SELECT m.campaign_id, m.state, COUNT(*) FROM message m
WHERE m.account_id = :account_id AND m.campaign_id = ANY (ARRAY(SELECT r.id FROM {rows} AS r))
GROUP BY m.campaign_id, m.state;

-- name: created_between
-- Campaigns that were accepted within a stretch of time, in pages.
SELECT id, messages, created_at FROM campaign
WHERE account_id = :account_id AND created_at >= :from AND created_at < :until AND state <> 0
  AND (created_at > :after_at OR (created_at = :after_at AND id > :after_id))
ORDER BY created_at, id LIMIT :limit;

-- name: tallies
SELECT starts_at, ends_at, counted_at, messages, delivered, failed FROM tally
WHERE account_id = :account_id AND starts_at >= :from AND ends_at <= :until;

-- name: put_tally
INSERT INTO tally (account_id, starts_at, ends_at, counted_at, messages, delivered, failed)
VALUES (:account_id, :starts_at, :ends_at, :counted_at, :messages, :delivered, :failed)
ON CONFLICT (account_id, starts_at, ends_at) DO UPDATE SET counted_at = excluded.counted_at,
    messages = excluded.messages, delivered = excluded.delivered, failed = excluded.failed;

-- name: drop_old_tallies
DELETE FROM tally WHERE account_id = :account_id AND ends_at < :before;

-- name: course_piece
-- A stretch of a campaign's rows by state, code and time. Bounded: no reader is kept for long.
SELECT state, code, CASE WHEN failed <> 0 THEN 1 ELSE 0 END, first_at / :bucket, changed_at / :bucket, COUNT(*),
    MAX(destination)
FROM (SELECT destination, state, code, failed, first_at, changed_at FROM message
    WHERE account_id = :account_id AND campaign_id = :id AND destination > :after
    ORDER BY destination LIMIT :limit) AS piece
GROUP BY state, code, CASE WHEN failed <> 0 THEN 1 ELSE 0 END, first_at / :bucket, changed_at / :bucket;

-- name: course
SELECT counted_at, body FROM campaign_course WHERE account_id = :account_id AND campaign_id = :id;

-- name: put_course
INSERT INTO campaign_course (account_id, campaign_id, counted_at, body) VALUES (:account_id, :id, :counted_at, :body)
ON CONFLICT (account_id, campaign_id) DO UPDATE SET counted_at = excluded.counted_at, body = excluded.body;

-- name: recipients_page
-- The next recipients of a campaign that have a row, of one state or of all.
SELECT m.destination, m.state, m.attempt, m.parts, m.first_at, m.changed_at, m.code, m.credits, m.failed, m.detail, k.name
FROM message m LEFT JOIN carrier k ON k.id = m.carrier_id
WHERE m.account_id = :account_id AND m.campaign_id = :id AND m.destination > :after
  AND (CAST(:state AS BIGINT) IS NULL OR m.state = CAST(:state AS BIGINT))
ORDER BY m.destination LIMIT :limit;

-- name: first_batches
-- A campaign's recipients as they were accepted, in pages of batches.
SELECT no, state, marked, numbers FROM batch
WHERE account_id = :account_id AND campaign_id = :id AND attempt = 1 AND no > :after ORDER BY no LIMIT :limit;

-- name: rows_among rows(destination bigint)
SELECT m.destination FROM message m
WHERE m.account_id = :account_id AND m.campaign_id = :id AND m.destination IN (SELECT r.destination FROM {rows} AS r);

-- name: refs_of
-- The carrier's ids of one message. Walks all ids of the days in question: only when a person asks for it.
SELECT smsc_id, part, attempt, at FROM segment_ref
WHERE at >= :since AND at < :until AND campaign_id = :id AND destination = :destination AND account_id = :account_id
ORDER BY attempt, part LIMIT 512;

-- name: ledger_page
-- An account's ledger below line `before`, the newest first.
SELECT no, at, amount, kind, campaign_id, reason FROM ledger
WHERE account_id = :account_id AND no < :before ORDER BY no DESC LIMIT :limit;
