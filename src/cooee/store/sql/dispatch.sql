-- The way out: claim, mark, record, release; leases and takeovers. Everything here runs once for a slice, never
-- once for a message (docs/architecture.md, "Sending, step by step").

-- name: share_campaigns [sqlite] rows(account_id bigint, id bigint)

-- name: share_campaigns [postgres] rows(account_id bigint, id bigint)
-- The first statement of marking: a pause that is under way is waited for here, and a later statement then judges
-- by what it left. A statement that waited on the batch alone would judge by the old campaign state.
SELECT 1 FROM campaign WHERE (account_id, id) IN (SELECT r.account_id, r.id FROM {rows} AS r)
ORDER BY account_id, id FOR SHARE;

-- name: held_batches [sqlite] rows(account_id bigint, campaign_id bigint, no bigint, epoch bigint) json(account_id, campaign_id, no, campaign_state, account_state, zone, window_opens, window_closes, sender)
SELECT b.account_id, b.campaign_id, b.no, c.state AS campaign_state, a.state AS account_state, a.zone, a.window_opens,
    a.window_closes, (SELECT MIN(n.number) FROM inbound_number n WHERE n.number = c.originator) AS sender
FROM {rows} AS r
CROSS JOIN batch b ON b.account_id = r.account_id AND b.campaign_id = r.campaign_id AND b.no = r.no
CROSS JOIN campaign c ON c.account_id = b.account_id AND c.id = b.campaign_id
CROSS JOIN account a ON a.id = b.account_id
WHERE +b.owner = :owner AND b.epoch = r.epoch AND +b.state = 4;

-- name: held_batches [postgres] rows(account_id bigint, campaign_id bigint, no bigint, epoch bigint)
-- Which of these batches are still ours, and whether they may go on; their originator, if handsets can write to it.
-- Locks them, in key order.
SELECT b.account_id, b.campaign_id, b.no, c.state AS campaign_state, a.state AS account_state, a.zone, a.window_opens,
    a.window_closes, (SELECT MIN(n.number) FROM inbound_number n WHERE n.number = c.originator) AS sender
FROM {rows} AS r
JOIN batch b ON b.account_id = r.account_id AND b.campaign_id = r.campaign_id AND b.no = r.no
JOIN campaign c ON c.account_id = b.account_id AND c.id = b.campaign_id
JOIN account a ON a.id = b.account_id
WHERE b.owner = :owner AND b.epoch = r.epoch AND b.state = 4
ORDER BY b.account_id, b.campaign_id, b.no
FOR UPDATE OF b;

-- name: claimable [sqlite] json(account_id, campaign_id, no, attempt, size, credits_each, flags, first_at, expires_at, epoch, marked, numbers, campaign_state, account_state, zone, window_opens, window_closes, originator, body, encoding, segments, concat_ref, unwashed)
-- The batches whose turn it is, as many as cover :want recipients. The running sum reads the index and the short
-- columns only; the numbers of the chosen ones are fetched afterwards.
SELECT b.account_id, b.campaign_id, b.no, b.attempt, b.size, b.credits_each, b.flags, b.first_at, b.expires_at,
    b.epoch, b.marked, hex(b.numbers) AS numbers, c.state AS campaign_state, a.state AS account_state, a.zone,
    a.window_opens, a.window_closes, c.originator, c.body, c.encoding, c.segments, c.concat_ref,
    c.unwashed
FROM (
    SELECT account_id, campaign_id, no, turn,
        SUM(size - marked) OVER (ORDER BY turn, campaign_id, no ROWS UNBOUNDED PRECEDING) - (size - marked) AS before
    FROM (SELECT account_id, campaign_id, no, turn, size, marked FROM batch
          WHERE carrier_id = :carrier_id AND state = 2 ORDER BY turn, campaign_id, no LIMIT :limit) AS front
) AS q
CROSS JOIN batch b ON b.account_id = q.account_id AND b.campaign_id = q.campaign_id AND b.no = q.no
CROSS JOIN campaign c ON c.account_id = b.account_id AND c.id = b.campaign_id
CROSS JOIN account a ON a.id = b.account_id
WHERE q.before < :want
ORDER BY q.turn, q.campaign_id, q.no;

-- name: claimable [postgres]
-- The same; another engine may be doing this at this moment, so what it has locked is skipped, and the next in line
-- are taken, as many as the front would have been: no more is locked than is claimed. The campaign is locked as
-- marking does, but never waited for: claiming holds batches, and whoever pauses holds the campaign.
SELECT b.account_id, b.campaign_id, b.no, b.attempt, b.size, b.credits_each, b.flags, b.first_at, b.expires_at,
    b.epoch, b.marked, b.numbers, c.state AS campaign_state, a.state AS account_state, a.zone,
    a.window_opens, a.window_closes, c.originator, c.body, c.encoding, c.segments, c.concat_ref,
    c.unwashed
FROM (
    SELECT account_id, campaign_id, no, turn FROM batch
    WHERE carrier_id = :carrier_id AND state = 2 ORDER BY turn, campaign_id, no
    LIMIT (
        SELECT COUNT(*) FROM (
            SELECT SUM(size - marked) OVER (ORDER BY turn, campaign_id, no ROWS UNBOUNDED PRECEDING) - (size - marked)
                AS before
            FROM (SELECT campaign_id, no, turn, size, marked FROM batch
                  WHERE carrier_id = :carrier_id AND state = 2 ORDER BY turn, campaign_id, no LIMIT :limit) AS front
        ) AS peek WHERE before < CAST(:want AS BIGINT))
    FOR UPDATE SKIP LOCKED
) AS q
JOIN batch b ON b.account_id = q.account_id AND b.campaign_id = q.campaign_id AND b.no = q.no
JOIN campaign c ON c.account_id = b.account_id AND c.id = b.campaign_id
JOIN account a ON a.id = b.account_id
ORDER BY q.turn, q.campaign_id, q.no
FOR SHARE OF c SKIP LOCKED;

-- name: take_batches rows(account_id bigint, campaign_id bigint, no bigint, marked bigint) bound
-- Claim and first mark in one: owner, epoch + 1, and how far the first slice goes.
UPDATE batch AS b SET state = 4, owner = :owner, epoch = b.epoch + 1, marked = r.marked, recorded = b.marked
FROM {rows} AS r
WHERE b.account_id = r.account_id AND b.campaign_id = r.campaign_id AND b.no = r.no AND b.state = 2;

-- name: set_aside rows(account_id bigint, campaign_id bigint, no bigint, state bigint, not_before bigint)
-- Batches at the front of the queue whose campaign may not send now: held, delayed until the window opens, or
-- cancelled.
UPDATE batch AS b SET state = r.state, not_before = r.not_before
FROM {rows} AS r
WHERE b.account_id = r.account_id AND b.campaign_id = r.campaign_id AND b.no = r.no AND b.state = 2;

-- name: advance rows(account_id bigint, campaign_id bigint, no bigint, epoch bigint, marked bigint, recorded bigint, state bigint) bound
-- Moves both offsets, and lets go of what is done or given back. Carries the epoch: after a takeover it does nothing.
-- The plus signs keep SQLite off the index of batches that are out, which it would walk for every row.
UPDATE batch AS b SET marked = r.marked, recorded = r.recorded, state = r.state,
    owner = CASE WHEN r.state = 4 THEN b.owner END
FROM {rows} AS r
WHERE b.account_id = r.account_id AND b.campaign_id = r.campaign_id AND b.no = r.no
  AND +b.owner = :owner AND b.epoch = r.epoch AND +b.state = 4;

-- name: with_optouts [sqlite] rows(id bigint) json(id)
SELECT r.id FROM {rows} AS r WHERE EXISTS (SELECT 1 FROM optout o WHERE o.account_id = r.id);

-- name: with_optouts [postgres] rows(id bigint)
-- The order asks for the first entry of the key. An EXISTS reads the whole table for an account without opt-outs, once
-- another account has most of them (measured: 40 ms a trip beside half a million).
SELECT r.id FROM {rows} AS r
CROSS JOIN LATERAL (SELECT 1 FROM optout o WHERE o.account_id = r.id ORDER BY o.destination LIMIT 1) AS any_of_them;

-- name: opted_out [sqlite] rows(account_id bigint, destination bigint) json(account_id, destination)
SELECT o.account_id, o.destination FROM {rows} AS r
CROSS JOIN optout o ON o.account_id = r.account_id AND o.destination = r.destination;

-- name: opted_out [postgres] rows(account_id bigint, destination bigint)
-- The wash: part of marking, on every attempt.
SELECT o.account_id, o.destination FROM {rows} AS r
JOIN optout o ON o.account_id = r.account_id AND o.destination = r.destination;

-- name: retry_messages [sqlite] rows(account_id bigint, campaign_id bigint, destination bigint) json(account_id, campaign_id, destination, accepted)
SELECT m.account_id, m.campaign_id, m.destination, m.accepted FROM {rows} AS r
CROSS JOIN message m ON m.account_id = r.account_id AND m.campaign_id = r.campaign_id AND m.destination = r.destination
WHERE m.state = 1;

-- name: retry_messages [postgres] rows(account_id bigint, campaign_id bigint, destination bigint)
-- Before a retry is written: which of them still want one, and which of their parts the carrier has already.
SELECT m.account_id, m.campaign_id, m.destination, m.accepted FROM {rows} AS r
JOIN message m ON m.account_id = r.account_id AND m.campaign_id = r.campaign_id AND m.destination = r.destination
WHERE m.state = 1
ORDER BY m.account_id, m.campaign_id, m.destination
FOR UPDATE OF m;

-- name: retry_out rows(account_id bigint, campaign_id bigint, destination bigint)
-- A retry is out: deleting the campaign now leaves this recipient to its answer.
UPDATE message AS m SET state = 0 FROM {rows} AS r
WHERE m.account_id = r.account_id AND m.campaign_id = r.campaign_id AND m.destination = r.destination AND m.state = 1;

-- name: record rows(account_id bigint, campaign_id bigint, destination bigint, state bigint, attempt bigint, parts bigint, accepted bigint, flags bigint, credits bigint, first_at bigint, uncertain_until bigint, code bigint, detail text) bound
-- The journal. A newer attempt replaces an older one; within an attempt a state only rises, so a late answer
-- raises what was uncertain. What an older attempt was raised to meanwhile stays: delivered is delivered, and one
-- that the carrier has is open on that attempt, whatever the newer one came to: `attempt` then stays the older one,
-- whose receipts decide. Receipts of a long message's earlier parts may have come before its last parts were
-- accepted: then the masks decide at once. A late answer to an attempt that was sent again says nothing about the
-- message while its resend is out (it is kept by late_attempt), and a late refusal never does.
INSERT INTO message (account_id, campaign_id, destination, state, attempt, carrier_id, parts, accepted, delivered,
    failed, flags, credits, first_at, changed_at, uncertain_until, code, detail)
SELECT r.account_id, r.campaign_id, r.destination, r.state, r.attempt, CAST(:carrier_id AS BIGINT), r.parts,
    r.accepted, 0, 0, r.flags, r.credits, r.first_at, CAST(:now AS BIGINT), r.uncertain_until, r.code, r.detail
FROM {rows} AS r WHERE true
ON CONFLICT (account_id, campaign_id, destination) DO UPDATE SET
    state = CASE
        WHEN message.state = 7 THEN 7
        WHEN message.state = 3 AND excluded.state IN (1, 2, 6) THEN 3
        WHEN message.flags & 2 <> 0 AND excluded.state IN (1, 2, 6) AND EXISTS (
            SELECT 1 FROM attempt t WHERE t.account_id = message.account_id AND t.campaign_id = message.campaign_id
            AND t.destination = message.destination AND t.attempt = message.attempt AND t.accepted <> 0
            AND t.delivered = 0 AND t.failed = 0) THEN 3
        WHEN excluded.state <> 3 THEN excluded.state
        WHEN message.delivered & ((CAST(1 AS BIGINT) << message.parts) - 1) = (CAST(1 AS BIGINT) << message.parts) - 1 THEN 7
        WHEN message.failed & ~message.delivered <> 0 THEN 6
        ELSE 3 END,
    attempt = CASE
        WHEN message.state = 3 AND excluded.state IN (1, 2, 6) THEN message.attempt
        WHEN message.flags & 2 <> 0 AND excluded.state IN (1, 2, 6) AND EXISTS (
            SELECT 1 FROM attempt t WHERE t.account_id = message.account_id AND t.campaign_id = message.campaign_id
            AND t.destination = message.destination AND t.attempt = message.attempt AND t.accepted <> 0
            AND t.delivered = 0 AND t.failed = 0) THEN message.attempt
        ELSE excluded.attempt END,
    carrier_id = excluded.carrier_id,
    accepted = message.accepted | excluded.accepted,
    flags = message.flags | excluded.flags,
    changed_at = CASE WHEN message.state = 7 THEN message.changed_at ELSE excluded.changed_at END,
    uncertain_until = CASE WHEN message.state IN (3, 7) THEN NULL ELSE excluded.uncertain_until END,
    code = CASE WHEN message.state IN (3, 7) OR (excluded.state = 3 AND message.failed <> 0) THEN message.code
        ELSE excluded.code END,
    detail = CASE WHEN message.state IN (3, 7) OR (excluded.state = 3 AND message.failed <> 0) THEN message.detail
        ELSE excluded.detail END
WHERE excluded.attempt > message.attempt
   OR (excluded.attempt = message.attempt AND excluded.state > message.state
       AND NOT (message.flags & 2 <> 0 AND (message.state = 0 OR (excluded.state = 6 AND message.state = 1))));

-- name: late_attempt rows(account_id bigint, campaign_id bigint, destination bigint, attempt bigint, accepted bigint)
-- An answer to an attempt that has been sent again since: it is kept beside the newer one.
UPDATE attempt AS t SET accepted = t.accepted | r.accepted FROM {rows} AS r
WHERE t.account_id = r.account_id AND t.campaign_id = r.campaign_id AND t.destination = r.destination
  AND t.attempt = r.attempt;

-- name: beat
UPDATE engine SET beat = beat + 1 WHERE id = :id;

-- name: add_engine
INSERT INTO engine (id, name, beat, started_at) VALUES (:id, :name, 0, :now);

-- name: drop_engine
DELETE FROM engine WHERE id = :id;

-- name: engines
SELECT id, name, beat FROM engine ORDER BY id;

-- name: leases
SELECT carrier_id, no, owner FROM bind_lease;

-- name: take_lease
-- A free bind of a carrier; ON CONFLICT leaves it to whoever was first.
INSERT INTO bind_lease (carrier_id, no, owner) VALUES (:carrier_id, :no, :owner) ON CONFLICT (carrier_id, no) DO NOTHING;

-- name: drop_lease
DELETE FROM bind_lease WHERE carrier_id = :carrier_id AND no = :no AND owner = :owner;

-- name: drop_leases
DELETE FROM bind_lease WHERE owner = :owner;

-- name: abandoned [sqlite]
SELECT b.account_id, b.campaign_id, b.no, b.carrier_id, b.attempt, b.size, b.credits_each, b.flags, b.first_at,
    b.marked, b.recorded, b.epoch, b.numbers, c.state, c.segments
FROM batch b JOIN campaign c ON c.account_id = b.account_id AND c.id = b.campaign_id
WHERE b.state = 4 AND b.owner = :owner ORDER BY b.account_id, b.campaign_id, b.no LIMIT 50;

-- name: abandoned [postgres]
-- Batches that a dead engine had out, or that no engine owns (its row is gone): to be taken over. Locked: a mark
-- that it still had under way is waited for, and what that marked is then in doubt with the rest.
SELECT b.account_id, b.campaign_id, b.no, b.carrier_id, b.attempt, b.size, b.credits_each, b.flags, b.first_at,
    b.marked, b.recorded, b.epoch, b.numbers, c.state, c.segments
FROM batch b JOIN campaign c ON c.account_id = b.account_id AND c.id = b.campaign_id
WHERE b.state = 4 AND b.owner = :owner ORDER BY b.account_id, b.campaign_id, b.no LIMIT 50
FOR UPDATE OF b;

-- name: abandoned_owners
-- Owners of batches, webhooks and binds that have no row among the engines: they died between the two, or did not know
-- yet that they had been taken for dead when they leased them.
SELECT b.owner FROM batch b WHERE b.state = 4 AND NOT EXISTS (SELECT 1 FROM engine e WHERE e.id = b.owner)
UNION
SELECT w.owner FROM webhook w WHERE w.owner IS NOT NULL AND NOT EXISTS (SELECT 1 FROM engine e WHERE e.id = w.owner)
UNION
SELECT l.owner FROM bind_lease l WHERE NOT EXISTS (SELECT 1 FROM engine e WHERE e.id = l.owner);

-- name: engine_beat
SELECT beat FROM engine WHERE id = :id;

-- name: recorded_of rows(account_id bigint, campaign_id bigint, destination bigint, attempt bigint)
-- Which of these in-doubt recipients have a row of that attempt already, or were settled before it went out: a
-- retry that is really out has state 0.
SELECT m.account_id, m.campaign_id, m.destination FROM {rows} AS r
JOIN message m ON m.account_id = r.account_id AND m.campaign_id = r.campaign_id AND m.destination = r.destination
WHERE m.state > 0 AND (m.attempt >= r.attempt OR (r.attempt > 1 AND m.state > 1));

-- name: take_over rows(account_id bigint, campaign_id bigint, no bigint, epoch bigint, state bigint, turn bigint)
-- The epoch rises: whatever the old owner still tries with these batches does nothing.
UPDATE batch AS b SET epoch = b.epoch + 1, owner = NULL, recorded = b.marked, state = r.state, turn = r.turn
FROM {rows} AS r
WHERE b.account_id = r.account_id AND b.campaign_id = r.campaign_id AND b.no = r.no AND b.epoch = r.epoch AND b.state = 4;

-- name: uncertain_due
-- Uncertain recipients whose carrier's policy is to decide now.
SELECT m.account_id, m.campaign_id, m.destination, m.attempt, m.carrier_id, m.parts, m.accepted, m.flags, m.credits,
    m.first_at, c.state, a.zone, a.window_opens, a.window_closes
FROM message m JOIN campaign c ON c.account_id = m.account_id AND c.id = m.campaign_id
JOIN account a ON a.id = m.account_id
WHERE m.state = 2 AND m.uncertain_until <= :now ORDER BY m.account_id, m.campaign_id, m.destination LIMIT 500;

-- name: uncertain_fail rows(account_id bigint, campaign_id bigint, destination bigint)
-- Settled as failed, and charged: it may well have arrived.
UPDATE message AS m SET state = 6, code = 998, changed_at = :now, uncertain_until = NULL FROM {rows} AS r
WHERE m.account_id = r.account_id AND m.campaign_id = r.campaign_id AND m.destination = r.destination AND m.state = 2;

-- name: archive_attempts rows(account_id bigint, campaign_id bigint, destination bigint)
-- The uncertain attempt steps aside, so that a late receipt for it still finds it.
INSERT INTO attempt (account_id, campaign_id, destination, attempt, carrier_id, parts, accepted, delivered, failed, at)
SELECT m.account_id, m.campaign_id, m.destination, m.attempt, m.carrier_id, m.parts, m.accepted, m.delivered, m.failed,
    CAST(:now AS BIGINT)
FROM {rows} AS r
JOIN message m ON m.account_id = r.account_id AND m.campaign_id = r.campaign_id AND m.destination = r.destination
WHERE m.state = 2
ON CONFLICT (account_id, campaign_id, destination, attempt) DO NOTHING;

-- name: resend rows(account_id bigint, campaign_id bigint, destination bigint)
UPDATE message AS m SET state = 1, accepted = 0, delivered = 0, failed = 0, flags = m.flags | 3, changed_at = :now,
    uncertain_until = NULL
FROM {rows} AS r
WHERE m.account_id = r.account_id AND m.campaign_id = r.campaign_id AND m.destination = r.destination AND m.state = 2;
