"""What people and programs do with jobs: look at them, wait for them, cancel them, have them run again."""
