"""kombu: a Producer publishes, and a Consumer's callback handles and acknowledges."""
