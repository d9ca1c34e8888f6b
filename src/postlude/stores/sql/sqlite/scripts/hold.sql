-- In the file itself, so that it holds for every process that has it open, of whichever release it is.
CREATE TRIGGER held_jobs BEFORE INSERT ON jobs WHEN NEW.state = 'staged' BEGIN SELECT RAISE(ABORT, 'moved'); END
