"""What `hvobs nats` can do."""
