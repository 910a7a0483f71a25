-- Members of a chat who are added and removed by one change.
ALTER TYPE change_kind ADD VALUE 'members-changed' BEFORE 'positions-moved';
