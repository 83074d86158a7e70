"""Sending the texts that stood still to other machines: over MQTT, and to web addresses."""
