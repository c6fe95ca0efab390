"""`make bench`: how fast, how small, how soon. Writes bench/results/ and docs/benchmarks.md."""
