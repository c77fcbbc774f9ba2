-- Which campaigns of a reference have not started. An account may use one reference for all its campaigns; the index
-- over every state, which this replaces, would then be walked for each create.
CREATE INDEX campaign_unstarted ON campaign (account_id, reference, id) WHERE state IN (1, 4);
DROP INDEX campaign_reference;
