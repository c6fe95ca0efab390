"""TLS reporting for SMTP (RFC 8460): results, what each failure is called, reports."""
