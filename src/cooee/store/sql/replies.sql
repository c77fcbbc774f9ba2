-- Replies as they come in: routed, re-assembled, stored.

-- name: add_replies rows(account_id bigint, id bigint, received_at bigint, carrier_id bigint, originator text, handset bigint, recipient text, body text, kind bigint, parts bigint, missing bigint, campaign_id bigint, reference text)
-- The one door by which replies get to their accounts.
INSERT INTO reply (account_id, id, received_at, carrier_id, originator, handset, recipient, body, kind, parts, missing,
    campaign_id, reference)
SELECT r.account_id, r.id, r.received_at, r.carrier_id, r.originator, r.handset, r.recipient, r.body, r.kind, r.parts,
    r.missing, r.campaign_id, r.reference
FROM {rows} AS r;

-- name: add_unrouted rows(id bigint, received_at bigint, carrier_id bigint, originator text, handset bigint, recipient text, body text, parts bigint, missing bigint)
INSERT INTO unrouted_reply (id, received_at, carrier_id, originator, handset, recipient, body, parts, missing)
SELECT r.id, r.received_at, r.carrier_id, r.originator, r.handset, r.recipient, r.body, r.parts, r.missing
FROM {rows} AS r;
