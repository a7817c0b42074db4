"""What each verb does. Knows every room; computes nothing itself."""
