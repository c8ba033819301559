"""The backend of signoff: approvals and their events, kept durably and shown to those who decide."""
