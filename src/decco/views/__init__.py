"""Views: what would be written, who owns a name, who may talk to whom, is the cluster fit. They change nothing."""
