"""The way in: changes are made durable and judged, Subscriptions and topics registered. Calls the store, never HTTP."""
