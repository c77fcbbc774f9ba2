-- Campaigns and their batches: acceptance, what the API and the CLI do to them, and dealing to carriers.

-- name: add_campaigns rows(account_id bigint, id bigint, state bigint, originator text, body text, encoding bigint, segments bigint, concat_ref bigint, reference text, due_at bigint, wake_at bigint, started_at bigint, messages bigint, credits bigint, batches bigint, dropped_invalid bigint, dropped_duplicate bigint, dropped_international bigint) bound
-- All campaigns of a group commit together.
INSERT INTO campaign (account_id, id, state, originator, body, encoding, segments, concat_ref, reference, created_at,
    due_at, wake_at, started_at, messages, credits, batches, dropped_invalid, dropped_duplicate, dropped_international)
SELECT r.account_id, r.id, r.state, r.originator, r.body, r.encoding, r.segments, r.concat_ref, r.reference,
    CAST(:now AS BIGINT), r.due_at, r.wake_at, r.started_at, r.messages, r.credits, r.batches, r.dropped_invalid,
    r.dropped_duplicate, r.dropped_international
FROM {rows} AS r;

-- name: add_batches rows(account_id bigint, campaign_id bigint, no bigint, carrier_id bigint, turn bigint, state bigint, attempt bigint, size bigint, credits_each bigint, flags bigint, not_before bigint, first_at bigint, expires_at bigint, owner bigint, marked bigint, numbers bytes) bound
-- A fresh message may be born claimed and marked (docs/architecture.md, step 1): then `owner` is set.
INSERT INTO batch (account_id, campaign_id, no, carrier_id, turn, state, attempt, size, credits_each, flags,
    not_before, first_at, expires_at, owner, epoch, marked, recorded, numbers)
SELECT r.account_id, r.campaign_id, r.no, r.carrier_id, r.turn, r.state, r.attempt, r.size, r.credits_each, r.flags,
    r.not_before, r.first_at, r.expires_at, r.owner, CASE WHEN r.owner IS NULL THEN 0 ELSE 1 END, r.marked, 0, r.numbers
FROM {rows} AS r;

-- name: front_turn
-- The front of a carrier's queue. New batches queue up one turn behind it, so that campaigns take turns and a
-- single message never waits for a million (docs/decisions/0003-turns.md).
SELECT turn FROM batch WHERE carrier_id = :carrier_id AND state = 2 ORDER BY turn, campaign_id, no LIMIT 1;

-- name: reserve_key
-- Says "this key is mine" before anything is charged. On PostgreSQL a second request with the same key waits
-- here until the first one is committed, and then finds its answer.
INSERT INTO idempotency (account_id, key, digest, answer, at) VALUES (:account_id, :key, :digest, '', :now)
ON CONFLICT (account_id, key) DO NOTHING;

-- name: answer_key
UPDATE idempotency SET answer = :answer WHERE account_id = :account_id AND key = :key;

-- name: find_key
SELECT digest, answer, at FROM idempotency WHERE account_id = :account_id AND key = :key;

-- name: drop_key
DELETE FROM idempotency WHERE account_id = :account_id AND key = :key;

-- name: publish_campaign
-- The last step of a large campaign: from here on the API and the engine see it.
UPDATE campaign SET state = :state, credits = :credits, wake_at = :wake_at
WHERE account_id = :account_id AND id = :id AND state = 0;

-- name: stale_accepting
-- Large campaigns whose acceptance never ended: their node died. Nothing was charged.
SELECT account_id, id FROM campaign WHERE state = 0 AND created_at < :before ORDER BY id LIMIT 20;

-- name: lock_accepting [sqlite]
SELECT id FROM campaign WHERE account_id = :account_id AND id = :id AND state = 0;

-- name: lock_accepting [postgres]
-- Publishing and dropping the same campaign exclude each other.
SELECT id FROM campaign WHERE account_id = :account_id AND id = :id AND state = 0 FOR UPDATE;

-- name: drop_accepting_batches
-- In pieces, so that the writer is never held for long.
DELETE FROM batch WHERE account_id = :account_id AND campaign_id = :id AND no IN (
    SELECT no FROM batch WHERE account_id = :account_id AND campaign_id = :id ORDER BY no LIMIT 200);

-- name: drop_accepting
DELETE FROM campaign WHERE account_id = :account_id AND id = :id AND state = 0;

-- name: lock_campaign [sqlite]
SELECT state, started_at, wake_at, stopped_at, due_at FROM campaign WHERE account_id = :account_id AND id = :id AND state <> 0;

-- name: lock_campaign [postgres]
-- Whoever changes a campaign's state locks it first; marking holds it FOR SHARE.
SELECT state, started_at, wake_at, stopped_at, due_at FROM campaign WHERE account_id = :account_id AND id = :id AND state <> 0
FOR UPDATE;

-- name: set_campaign_state
UPDATE campaign SET state = :state, stopped_at = :stopped_at, finished_at = :finished_at, wake_at = :wake_at
WHERE account_id = :account_id AND id = :id;

-- name: schedule_again
-- Waits for its window: nothing of it went out, so it has not started.
UPDATE campaign SET state = 1, started_at = NULL, stopped_at = NULL, finished_at = NULL, wake_at = :wake_at
WHERE account_id = :account_id AND id = :id AND state IN (2, 3, 4);

-- name: any_marked
-- Whether a recipient was ever handed over, or is being. A campaign that has started shows it in its first batches.
SELECT 1 FROM batch WHERE account_id = :account_id AND campaign_id = :id AND marked > 0
ORDER BY no LIMIT 1;

-- name: judge_scheduled [sqlite]
-- SQLite would rather walk through everything the account ever sent, by the index of its campaigns.
UPDATE campaign INDEXED BY campaign_unstarted
SET wake_at = CASE WHEN due_at > CAST(:now AS BIGINT) THEN due_at ELSE CAST(:now AS BIGINT) END
WHERE account_id = :account_id AND state IN (1, 4) AND started_at IS NULL;

-- name: judge_scheduled [postgres]
-- The scheduler looks at each at its time, or now, and puts it off where the window is closed.
UPDATE campaign SET wake_at = CASE WHEN due_at > CAST(:now AS BIGINT) THEN due_at ELSE CAST(:now AS BIGINT) END
WHERE account_id = :account_id AND state IN (1, 4) AND started_at IS NULL;

-- name: judge_delayed
-- Found by the index of what is delayed: the key's would walk through everything the account ever sent.
UPDATE batch SET not_before = CAST(:now AS BIGINT)
WHERE +account_id = CAST(:account_id AS BIGINT) AND state = 3 AND not_before > CAST(:now AS BIGINT)
  AND (attempt = 1 OR not_before > CAST(:backoff AS BIGINT));

-- name: windowed_page
-- The next thousand running campaigns, and which of them have a send window that may have closed.
SELECT c.account_id, c.id, a.zone, a.window_opens, a.window_closes
FROM (SELECT account_id, id FROM campaign WHERE state = 3 AND id > :after ORDER BY id LIMIT 1000) AS c
JOIN account a ON a.id = c.account_id ORDER BY c.id;

-- name: windowed_starting
-- The same for those that are being dealt, or wait for a carrier.
SELECT c.account_id, c.id, a.zone, a.window_opens, a.window_closes
FROM campaign c JOIN account a ON a.id = c.account_id WHERE c.state = 2 ORDER BY c.id LIMIT 200;

-- name: campaign_state
SELECT state, wake_at FROM campaign WHERE account_id = :account_id AND id = :id AND state <> 0;

-- name: campaign_exists
SELECT messages, segments, credits FROM campaign WHERE account_id = :account_id AND id = :id AND state <> 0;

-- name: age_retries
-- Time that a campaign stood still does not count against max_age.
UPDATE batch SET expires_at = expires_at + :stood_still
WHERE account_id = :account_id AND campaign_id = :id AND expires_at IS NOT NULL AND state IN (1, 2, 3);

-- name: age_account_retries [sqlite]
UPDATE batch SET expires_at = expires_at + :stood_still
WHERE account_id = :account_id AND expires_at IS NOT NULL AND state IN (1, 2, 3)
  AND campaign_id IN (
    SELECT id FROM campaign INDEXED BY campaign_starting WHERE account_id = :account_id AND state = 2
    UNION ALL SELECT id FROM campaign INDEXED BY campaign_running WHERE account_id = :account_id AND state = 3);

-- name: age_account_retries [postgres]
-- The same for all running campaigns of an account that was suspended.
UPDATE batch SET expires_at = expires_at + :stood_still
WHERE account_id = :account_id AND expires_at IS NOT NULL AND state IN (1, 2, 3)
  AND campaign_id IN (
    SELECT id FROM campaign WHERE account_id = :account_id AND state = 2
    UNION ALL SELECT id FROM campaign WHERE account_id = :account_id AND state = 3);

-- name: await_dealing [sqlite]

-- name: await_dealing [postgres]
-- A piece that is being dealt may be the last of its campaign, and still see the account suspended: then it leaves
-- what is held to restart_account_campaigns, which must see that the campaign runs.
SELECT 1 FROM campaign WHERE account_id = :account_id AND state = 2 ORDER BY id FOR SHARE;

-- name: restart_account_campaigns [sqlite]
UPDATE campaign INDEXED BY campaign_running SET state = 2 WHERE account_id = :account_id AND state = 3;

-- name: restart_account_campaigns [postgres]
-- Back to "starting": the scheduler deals what is held again.
UPDATE campaign SET state = 2 WHERE account_id = :account_id AND state = 3;

-- name: unsent
-- Credits of what was never marked in a campaign's first-attempt batches.
SELECT COALESCE(SUM((size - marked) * credits_each), 0) FROM batch
WHERE account_id = :account_id AND campaign_id = :id AND attempt = 1 AND state <> 6;

-- name: cancel_retrying
-- Waiting for a retry when the campaign was deleted: gone, and refunded, unless a part was accepted or an attempt
-- was uncertain; those count as failed and stay charged. The retry batches still out are left to their engine.
UPDATE message SET state = CASE WHEN accepted = 0 AND flags = 0 THEN 5 ELSE 6 END, changed_at = :now,
    code = CASE WHEN accepted = 0 AND flags = 0 THEN code ELSE 998 END
WHERE account_id = :account_id AND campaign_id = :id AND state = 1
RETURNING CASE WHEN state = 5 THEN credits ELSE 0 END;

-- name: due_campaigns
SELECT c.account_id, c.id, a.zone, a.window_opens, a.window_closes, a.state
FROM campaign c JOIN account a ON a.id = c.account_id
WHERE c.state = 1 AND c.wake_at <= :now ORDER BY c.wake_at LIMIT 500;

-- name: take_due rows(account_id bigint, id bigint)
-- scheduled → starting, in one statement for all that are due; the batches are dealt afterwards.
UPDATE campaign AS c SET state = 2 FROM {rows} AS r
WHERE c.account_id = r.account_id AND c.id = r.id AND c.state = 1 AND c.wake_at <= :now;

-- name: postpone_due rows(account_id bigint, id bigint, wake_at bigint)
-- Due while the send window is closed, or the account suspended: looked at again then, unless it was given another
-- time meanwhile.
UPDATE campaign AS c SET wake_at = r.wake_at FROM {rows} AS r
WHERE c.account_id = r.account_id AND c.id = r.id AND c.state = 1 AND c.wake_at <= :now;

-- name: starting_campaigns
SELECT account_id, id FROM campaign WHERE state = 2 ORDER BY id LIMIT 200;

-- name: held_piece json(no, carrier_id, not_before)
-- The next batches to deal; a retry keeps its carrier, on which its accepted parts are, unless that was removed.
SELECT no, CASE WHEN attempt > 1 AND EXISTS (SELECT 1 FROM carrier k WHERE k.id = batch.carrier_id AND k.state <> 3)
    THEN carrier_id END AS carrier_id, not_before
FROM batch WHERE account_id = :account_id AND campaign_id = :id AND state = 1 AND no > :after ORDER BY no LIMIT :limit;

-- name: deal rows(account_id bigint, campaign_id bigint, no bigint, carrier_id bigint, turn bigint, state bigint)
-- The whole key is in the rows: given the campaign once, SQLite walks through all its batches and, for each, the rows.
UPDATE batch AS b SET carrier_id = r.carrier_id, turn = r.turn, state = r.state FROM {rows} AS r
WHERE b.account_id = r.account_id AND b.campaign_id = r.campaign_id AND b.no = r.no AND b.state = 1;

-- name: mark_started
UPDATE campaign SET started_at = :now WHERE account_id = :account_id AND id = :id AND started_at IS NULL;

-- name: run_campaign
UPDATE campaign SET state = 3, started_at = COALESCE(started_at, CAST(:now AS BIGINT))
WHERE account_id = :account_id AND id = :id AND state = 2;

-- name: stray_batches
-- Ready batches on carriers that are gone, and first attempts on paused ones: to be dealt again if another is there.
SELECT DISTINCT b.account_id, b.campaign_id FROM batch b JOIN carrier k ON k.id = b.carrier_id
WHERE b.state = 2 AND (k.state = 3 OR (k.state = 2 AND b.attempt = 1)) LIMIT 100;

-- name: pull_back
-- A piece of a campaign's batches leaves a carrier that does not send.
UPDATE batch SET state = 1 WHERE account_id = :account_id AND campaign_id = :id AND no IN (
    SELECT b.no FROM batch b JOIN carrier k ON k.id = b.carrier_id
    WHERE b.account_id = :account_id AND b.campaign_id = :id AND b.state = 2
      AND (k.state = 3 OR (k.state = 2 AND b.attempt = 1)) ORDER BY b.no LIMIT 200);

-- name: restart_campaign
UPDATE campaign SET state = 2 WHERE account_id = :account_id AND id = :id AND state = 3;

-- name: delayed_due
-- Retries whose time has come, and batches whose window has opened, queue up again.
SELECT account_id, campaign_id, no, carrier_id FROM batch WHERE state = 3 AND not_before <= :now
ORDER BY not_before LIMIT 500;

-- name: make_ready rows(account_id bigint, campaign_id bigint, no bigint, turn bigint)
UPDATE batch AS b SET state = 2, turn = r.turn FROM {rows} AS r
WHERE b.account_id = r.account_id AND b.campaign_id = r.campaign_id AND b.no = r.no AND b.state = 3;

-- name: active_carriers
SELECT id, tps, binds FROM carrier WHERE state = 1 ORDER BY id;

-- name: finish rows(account_id bigint, id bigint)
-- Finished: nothing left to hand over and nothing uncertain. Decided here, never on the hot path. What is uncertain
-- is asked for as a whole, from its small index: asking by campaign would walk through a million rows.
UPDATE campaign AS c SET state = 6, finished_at = CAST(:now AS BIGINT) FROM {rows} AS r
WHERE c.account_id = r.account_id AND c.id = r.id AND c.state = 3
  AND NOT EXISTS (SELECT 1 FROM batch b WHERE b.account_id = r.account_id AND b.campaign_id = r.id
                  AND b.state NOT IN (5, 6))
  AND (c.account_id, c.id) NOT IN (SELECT m.account_id, m.campaign_id FROM message m WHERE m.state = 2);

-- name: running_page
SELECT account_id, id FROM campaign WHERE state = 3 AND id > :after ORDER BY id LIMIT 1000;

-- name: running_large rows(id bigint)
-- Whose counters are kept by the sweep; small campaigns are counted when somebody looks.
SELECT account_id, id FROM campaign WHERE id IN (SELECT r.id FROM {rows} AS r) AND messages > 1000;

-- name: view_campaign
SELECT c.account_id, a.name, c.id, c.state, c.originator, c.segments, c.reference, c.created_at, c.due_at,
    c.started_at, c.finished_at, c.messages, c.credits, c.dropped_invalid, c.dropped_duplicate,
    c.dropped_international, a.zone
FROM campaign c JOIN account a ON a.id = c.account_id WHERE c.id = :id AND c.state <> 0;

-- name: list_campaigns
SELECT c.account_id, a.name, c.id, c.state, c.originator, c.segments, c.reference, c.created_at, c.due_at,
    c.started_at, c.finished_at, c.messages, c.credits, c.dropped_invalid, c.dropped_duplicate,
    c.dropped_international, a.zone
FROM campaign c JOIN account a ON a.id = c.account_id
WHERE c.state <> 0 AND (CAST(:account_id AS BIGINT) IS NULL OR c.account_id = :account_id)
ORDER BY c.id DESC LIMIT :limit;
