-- Which users were erased since some time, for all applications: every replica looks again and again.
CREATE INDEX erasures_finished ON erasures (finished) WHERE finished IS NOT NULL;
