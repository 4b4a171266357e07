"""What a run would take, told before anything is started: memory, work, hours, dollars and room on disks."""
