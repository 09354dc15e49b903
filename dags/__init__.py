"""When the lake's nights run, and in what order; what they do stands in jobs/."""
