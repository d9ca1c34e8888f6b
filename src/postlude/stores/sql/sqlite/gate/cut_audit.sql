DELETE FROM audit WHERE number <= (SELECT max(number) FROM audit) - ?
