-- Replies as conversations, and opt-outs, for the console.

-- name: conversations
-- The newest reply of each handset, the newest conversation first, behind (received_at, id); a sender that is no number
-- is a conversation of its own each time. Walks reply_at backwards, with one probe of reply_from a reply.
SELECT r.id, r.received_at, r.originator, r.handset, r.recipient, r.body, r.kind, r.campaign_id,
    CASE WHEN r.handset IS NOT NULL AND r.received_at > COALESCE(s.read_until, -1) THEN 1 ELSE 0 END
FROM reply r LEFT JOIN reply_read s ON s.account_id = r.account_id AND s.handset = r.handset
WHERE r.account_id = :account_id AND (r.received_at, r.id) < (:received_at, :id)
  AND (CAST(:stops AS BIGINT) = 0 OR r.kind = 1)
  AND (CAST(:unread AS BIGINT) = 0 OR (r.handset IS NOT NULL AND r.received_at > COALESCE(s.read_until, -1)))
  AND NOT EXISTS (SELECT 1 FROM reply n WHERE n.account_id = :account_id AND n.handset = r.handset
    AND (n.received_at, n.id) > (r.received_at, r.id))
ORDER BY r.received_at DESC, r.id DESC LIMIT :limit;

-- name: conversation_replies
-- What one handset wrote, the newest first.
SELECT id, received_at, originator, recipient, body, kind, parts, missing, campaign_id FROM reply
WHERE account_id = :account_id AND handset = :handset AND (received_at, id) < (:received_at, :id)
ORDER BY received_at DESC, id DESC LIMIT :limit;

-- name: conversation_reply
-- One reply of a sender that is no number.
SELECT id, received_at, originator, recipient, body, kind, parts, missing, campaign_id FROM reply
WHERE account_id = :account_id AND id = :id AND handset IS NULL;

-- name: conversation_campaigns rows(id bigint)
-- What was written to the handset, and what became of it.
SELECT c.id, c.created_at, c.originator, c.body, c.messages, m.state FROM {rows} AS r
JOIN campaign c ON c.account_id = :account_id AND c.id = r.id AND c.state <> 0
LEFT JOIN message m ON m.account_id = c.account_id AND m.campaign_id = c.id AND m.destination = :handset;

-- name: conversation_answers
-- The newest answers from the console.
SELECT campaign_id FROM reply_answer WHERE account_id = :account_id AND handset = :handset
ORDER BY campaign_id DESC LIMIT :limit;

-- name: add_conversation_answer
INSERT INTO reply_answer (account_id, handset, campaign_id, at) VALUES (:account_id, :handset, :campaign_id, :now)
ON CONFLICT DO NOTHING;

-- name: read_conversation
INSERT INTO reply_read (account_id, handset, read_until) VALUES (:account_id, :handset, :until)
ON CONFLICT (account_id, handset) DO UPDATE SET read_until = excluded.read_until
WHERE reply_read.read_until < excluded.read_until;

-- name: is_opted_out
SELECT added_at, reason FROM optout WHERE account_id = :account_id AND destination = :destination;
