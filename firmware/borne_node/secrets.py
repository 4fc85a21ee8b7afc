"""Where secrets lie: in NVS, one blob each, in two slots. Their names only; nothing here ever holds one."""

NVS_NAMESPACE = "borne"

# Name of each secret, and of its NVS blob without the slot (NVS keys have at most 15 characters).
SECRETS = {
    "wifi_password": "wifi_pw",
    "mqtt_password": "mqtt_pw",
    "mqtt_ca": "mqtt_ca",
    "mqtt_cert": "mqtt_crt",
    "mqtt_key": "mqtt_key",
    "app_key": "lw_app_key",
}

# New secrets are written beside the old ones; the settings name the slot that is theirs.
SLOTS = ("a", "b")


def secret_key(name, slot):
    """The NVS blob that holds the secret `name` of a slot."""
    return SECRETS[name] + "." + slot
