"""Model files on the device: engines, facts, golden cases and the doctor."""
