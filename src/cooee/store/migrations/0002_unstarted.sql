-- Which campaigns of a reference have not started. An account may use one reference for all its campaigns; an index
-- over every state would then be walked for each create.
CREATE INDEX campaign_unstarted ON campaign (account_id, reference, id) WHERE state IN (1, 4);
