-- What an operator asks for on the command line: single messages, what is held for a person, what can be paused.

-- name: inspect_message
-- One recipient's journal row, with the name of the carrier that had it.
SELECT m.state, m.attempt, k.name, m.parts, m.accepted, m.delivered, m.failed, m.flags, m.credits, m.first_at,
    m.changed_at, m.uncertain_until, m.code, m.detail
FROM message m LEFT JOIN carrier k ON k.id = m.carrier_id
WHERE m.account_id = :account_id AND m.campaign_id = :campaign_id AND m.destination = :destination;

-- name: inspect_attempts
-- Its earlier attempts: there are some only where an uncertain one was sent again.
SELECT t.attempt, k.name, t.parts, t.accepted, t.delivered, t.failed, t.at
FROM attempt t LEFT JOIN carrier k ON k.id = t.carrier_id
WHERE t.account_id = :account_id AND t.campaign_id = :campaign_id AND t.destination = :destination
ORDER BY t.attempt;

-- name: inspect_batches
-- A page of a campaign's batches, to look for a recipient that has no row yet. Numbers are packed and sorted.
SELECT b.no, b.state, b.attempt, b.marked, b.not_before, k.name, b.numbers
FROM batch b LEFT JOIN carrier k ON k.id = b.carrier_id
WHERE b.account_id = :account_id AND b.campaign_id = :campaign_id AND b.no > :after ORDER BY b.no LIMIT 100;

-- name: inspect_uncertain
-- What may or may not have arrived. Without a time to decide at, it is held for a person.
SELECT m.campaign_id, a.name, a.zone, m.destination, m.attempt, k.name, m.changed_at, m.uncertain_until
FROM message m JOIN account a ON a.id = m.account_id LEFT JOIN carrier k ON k.id = m.carrier_id
WHERE m.state = 2 AND (CAST(:campaign_id AS BIGINT) IS NULL OR m.campaign_id = :campaign_id)
ORDER BY m.campaign_id, m.destination LIMIT :limit;

-- name: pausable_campaigns
-- Scheduled, starting or running, by id: what `pause --all` stops.
SELECT account_id, id FROM campaign WHERE state IN (1, 2, 3) AND id > :after ORDER BY id LIMIT 500;
