"""The documentation as a site: what mkdocs (``mkdocs.yml``) needs beside the pages of ``docs``."""
