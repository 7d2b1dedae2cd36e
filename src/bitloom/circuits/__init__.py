"""What operators' circuits are made of and what they tell the planner: foldings, estimates, schedules."""
