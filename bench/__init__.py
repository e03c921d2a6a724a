"""One script per question; each prints one line of ratios measured in one run. ``make bench NAME=<script>``."""
