-- Whose a number is, who wrote to whom from it, and what keywords do.

-- name: numbers_of rows(number text)
SELECT n.number, n.carrier_id, n.account_id, n.kind, n.country FROM {rows} AS r
CROSS JOIN inbound_number n WHERE n.number = r.number;

-- name: our_numbers json(number)
-- All of them, once for a group in which something came for another: a carrier may write them in national form.
SELECT DISTINCT number FROM inbound_number;

-- name: lock_numbers [sqlite]

-- name: lock_numbers [postgres]
SELECT pg_advisory_xact_lock(6516592);

-- name: add_number
INSERT INTO inbound_number (number, carrier_id, account_id, kind, country, added_at)
VALUES (:number, :carrier_id, :account_id, :kind, :country, :now);

-- name: drop_number
DELETE FROM inbound_number
WHERE number = :number AND (CAST(:account_id AS BIGINT) IS NULL OR account_id = :account_id)
  AND (CAST(:carrier_id AS BIGINT) IS NULL OR carrier_id = :carrier_id);

-- name: list_numbers
SELECT n.number, n.kind, a.name, k.name, n.added_at,
    (SELECT COUNT(*) FROM unrouted_reply u WHERE u.recipient = n.number)
FROM inbound_number n LEFT JOIN account a ON a.id = n.account_id LEFT JOIN carrier k ON k.id = n.carrier_id
ORDER BY n.number, n.carrier_id, a.name;

-- name: numbers_of_account
SELECT DISTINCT number, kind FROM inbound_number WHERE account_id = :account_id ORDER BY number LIMIT :limit;

-- name: contacts_of rows(number text, handset bigint)
-- Who wrote to these handsets from these numbers, with the reference of the newest campaign each.
SELECT l.number, l.handset, l.account_id, l.campaign_id, l.at, COALESCE(c.reference, p.reference) FROM {rows} AS r
CROSS JOIN last_contact l
LEFT JOIN campaign c ON c.account_id = l.account_id AND c.id = l.campaign_id
LEFT JOIN campaign_past p ON p.account_id = l.account_id AND p.id = l.campaign_id
WHERE l.number = r.number AND l.handset = r.handset;

-- name: note_contacts rows(number text, handset bigint, account_id bigint, campaign_id bigint)
-- Runs with the recording of a slice, only for originators that are numbers handsets can write to.
INSERT INTO last_contact (number, handset, account_id, campaign_id, at)
SELECT r.number, r.handset, r.account_id, r.campaign_id, CAST(:now AS BIGINT) FROM {rows} AS r WHERE true
ON CONFLICT (number, handset, account_id) DO UPDATE SET campaign_id = excluded.campaign_id, at = excluded.at
WHERE excluded.at >= last_contact.at;

-- name: inbound_senders rows(account_id bigint, id bigint)
-- Which of these campaigns go out from a number that handsets can answer to.
SELECT c.account_id, c.id, c.originator FROM {rows} AS r CROSS JOIN campaign c
WHERE c.account_id = r.account_id AND c.id = r.id
  AND EXISTS (SELECT 1 FROM inbound_number n WHERE n.number = c.originator);

-- name: find_keywords rows(word text)
SELECT k.word, k.kind FROM {rows} AS r CROSS JOIN keyword k WHERE k.word = r.word;

-- name: list_keywords
SELECT word, kind FROM keyword ORDER BY kind, word;

-- name: add_keyword
INSERT INTO keyword (word, kind) VALUES (:word, :kind) ON CONFLICT (word) DO UPDATE SET kind = excluded.kind;

-- name: drop_keyword
DELETE FROM keyword WHERE word = :word;

-- name: keyword_accounts rows(id bigint)
-- How these accounts take keywords, and what they answer to STOP and START.
SELECT a.id, a.keywords, a.zone, s.body, t.body FROM {rows} AS r
JOIN account a ON a.id = r.id
LEFT JOIN keyword_answer s ON s.account_id = a.id AND s.kind = 1
LEFT JOIN keyword_answer t ON t.account_id = a.id AND t.kind = 2;

-- name: set_keywords
UPDATE account SET keywords = :keywords WHERE id = :id;

-- name: set_keyword_answer
INSERT INTO keyword_answer (account_id, kind, body) VALUES (:account_id, :kind, :body)
ON CONFLICT (account_id, kind) DO UPDATE SET body = excluded.body;

-- name: drop_keyword_answer
DELETE FROM keyword_answer WHERE account_id = :account_id AND kind = :kind;

-- name: add_answers rows(account_id bigint, handset bigint, day bigint, kind bigint, number text, body text)
-- Once a handset a day: whoever writes STOP ten times is answered once.
INSERT INTO auto_answer (account_id, handset, day, state, kind, number, body, at)
SELECT r.account_id, r.handset, r.day, 0, r.kind, r.number, r.body, CAST(:now AS BIGINT) FROM {rows} AS r WHERE true
ON CONFLICT (account_id, handset, day) DO NOTHING;

-- name: due_answers [sqlite]
SELECT account_id, handset, day, number, body, kind FROM auto_answer WHERE state = 0 ORDER BY at LIMIT 100;

-- name: due_answers [postgres]
-- Answers that are to become campaigns, locked: another node may be about to do the same.
SELECT account_id, handset, day, number, body, kind FROM auto_answer WHERE state = 0 ORDER BY at LIMIT 100
FOR UPDATE SKIP LOCKED;

-- name: any_answer_due
SELECT 1 FROM auto_answer WHERE state = 0 LIMIT 1;

-- name: answers_made rows(account_id bigint, handset bigint, day bigint, state bigint, campaign_id bigint, skipped text)
UPDATE auto_answer AS w SET state = r.state, campaign_id = r.campaign_id, skipped = r.skipped FROM {rows} AS r
WHERE w.account_id = r.account_id AND w.handset = r.handset AND w.day = r.day;

-- name: leave_unwashed rows(account_id bigint, id bigint)
-- An answer to STOP must reach who has just opted out. Written in the transaction that accepts the campaign.
UPDATE campaign SET unwashed = 1 WHERE (account_id, id) IN (SELECT r.account_id, r.id FROM {rows} AS r);
