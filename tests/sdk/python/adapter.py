"""Box's Python SDK (`boxsdk` 10, `box-sdk-gen`) with the broker's adapter, and with its own JWT."""

from box_sdk_gen import BoxAPIError, BoxClient, BoxDeveloperTokenAuth, BoxJWTAuth, JWTConfig
from box_sdk_gen.internal.utils import compute_webhook_signature
from box_sdk_gen.managers.webhooks import WebhooksManager
from box_sdk_gen.networking.base_urls import BaseUrls
from box_token_broker import BrokerAuth, BrokerError

import webhooks
from stage import STAGE, be, journal, kill, last_entry, lives, refused, run

URLS = BaseUrls(base_url=STAGE["sandbox"], upload_url=STAGE["sandbox"], oauth_2_url=STAGE["sandbox"])
USER = STAGE["user"]

broker = BrokerAuth(STAGE["broker"], "acme", STAGE["key"])
as_user = broker.with_user_subject(USER)


def at_box(auth):
    return BoxClient(auth=auth).with_custom_base_urls(URLS)


def names(client, folder="0"):
    return {entry.name for entry in client.folders.get_folder_items(folder).entries}


def the_service_account_lists_its_folders():
    be(names(at_box(broker)) >= {"Contracts", "Invoices"}, True)


def a_user_lists_their_folders():
    found = names(at_box(as_user))
    be("Ada's notes" in found and "Invoices" not in found, True)


def the_as_user_header_works_beside_the_adapter():
    be("Ada's notes" in names(at_box(broker).with_as_user_header(USER)), True)


def a_downscoped_token_reaches_its_folder_alone():
    contracts = f"https://api.box.com/2.0/folders/{STAGE['folder']}"
    token = as_user.downscope_token(["base_explorer", "item_preview"], resource=contracts)
    be({scope.object.id for scope in token.restricted_to}, {STAGE["folder"]})
    narrow = at_box(BoxDeveloperTokenAuth(token.access_token))
    be("Contract.pdf" in names(narrow, STAGE["folder"]), True)
    refused(lambda: narrow.folders.get_folder_by_id(STAGE["foreign_folder"]), BoxAPIError, 403, 404)


def revoking_ends_nobody_elses_token():
    token = as_user.retrieve_token().access_token
    as_user.revoke_token()
    be(lives(token), True)
    be("Ada's notes" in names(at_box(as_user)), True)


def a_token_that_box_kills_is_replaced():
    client = at_box(broker)
    names(client)
    before = last_entry()
    kill(f"enterprise:{STAGE['enterprise']}")
    be("Contracts" in names(client), True)
    be([entry["status"] for entry in journal(since=before, path="/2.0/folders/*")], [401, 200])


def what_the_broker_refuses_is_told():
    error = refused(lambda: names(at_box(BrokerAuth(STAGE["broker"], "nobody", STAGE["key"]))), BrokerError, 404)
    be(error.code, "not_found")
    be(error.request_id in str(error) and STAGE["key"] not in str(error), True)


def the_sandbox_takes_the_sdks_own_jwt():
    auth = BoxJWTAuth(JWTConfig.from_config_file(STAGE["config"]))
    be("Contracts" in names(at_box(auth)), True)
    be("Ada's notes" in names(at_box(auth.with_user_subject(USER))), True)


def webhooks_signed_by_the_sdk_are_verified():
    def sign(body, headers, key):
        return compute_webhook_signature(body.decode(), headers, key)

    body, headers = webhooks.signed(sign)
    be(WebhooksManager.validate_message(body.decode(), headers, webhooks.PRIMARY), True)
    webhooks.check(sign)


run([
    the_service_account_lists_its_folders, a_user_lists_their_folders,
    the_as_user_header_works_beside_the_adapter, a_downscoped_token_reaches_its_folder_alone,
    revoking_ends_nobody_elses_token, a_token_that_box_kills_is_replaced, what_the_broker_refuses_is_told,
    the_sandbox_takes_the_sdks_own_jwt, webhooks_signed_by_the_sdk_are_verified,
])
