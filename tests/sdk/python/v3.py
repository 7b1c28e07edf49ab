"""`boxsdk` 3: the broker's Box-compatible endpoint by the SDK's setting of a token URL, and its own JWT."""

import boxsdk
from boxsdk.config import API
from boxsdk.exception import BoxAPIException, BoxOAuthException
from boxsdk.object.webhook import Webhook, _compute_signature

import webhooks
from stage import STAGE, be, grow_older, journal, kill, last_entry, lives, refused, run

USER = STAGE["user"]

API.BASE_API_URL = f"{STAGE['sandbox']}/2.0"
API.UPLOAD_URL = f"{STAGE['sandbox']}/2.0"
API.OAUTH2_API_URL = f"{STAGE['broker']}/oauth2"


def auth(**subject):
    return boxsdk.CCGAuth(client_id=STAGE["client_id"], client_secret=STAGE["key"], **subject)


def names(client, folder="0"):
    return {item.name for item in client.folder(folder).get_items()}


service = auth(enterprise_id=STAGE["enterprise"])
ada = auth(user=USER)


def the_service_account_lists_its_folders():
    be(names(boxsdk.Client(service)) >= {"Contracts", "Invoices"}, True)


def a_user_lists_their_folders():
    found = names(boxsdk.Client(ada))
    be("Ada's notes" in found and "Invoices" not in found, True)


def a_downscoped_token_reaches_its_folder_alone():
    client = boxsdk.Client(ada)
    narrow = client.downscope_token(["base_explorer", "item_preview"], client.folder(STAGE["folder"]))
    narrow = boxsdk.Client(boxsdk.OAuth2(None, None, access_token=narrow.access_token))
    be("Contract.pdf" in names(narrow, STAGE["folder"]), True)
    refused(lambda: narrow.folder(STAGE["foreign_folder"]).get(), BoxAPIException, 403, 404)


def revoking_ends_nobody_elses_token():
    names(boxsdk.Client(ada))
    token = ada.access_token
    ada.revoke()
    be((lives(token), ada.access_token), (True, None))
    be("Ada's notes" in names(boxsdk.Client(ada)), True)


def a_token_that_box_kills_is_replaced():
    client = boxsdk.Client(service)
    names(client)
    grow_older()
    before = last_entry()
    kill(f"enterprise:{STAGE['enterprise']}")
    # Where the broker's look at Box took too long the token was the same: it looks again.
    for _ in range(2):
        try:
            names(client)
            break
        except BoxAPIException as error:
            be(error.status, 401)
            grow_older()
    be("Contracts" in names(client), True)
    statuses = [entry["status"] for entry in journal(since=before, path="/2.0/folders/*")]
    refusals = statuses.count(401)
    be((refusals >= 1, statuses), (True, [401] * refusals + [200] * (len(statuses) - refusals)))


def what_the_broker_refuses_is_told_in_boxs_shape():
    wrong = boxsdk.CCGAuth(STAGE["client_id"], f"{STAGE['key'][:-1]}_", enterprise_id=STAGE["enterprise"])
    try:
        wrong.authenticate_instance()
    except BoxOAuthException as error:
        be(error.status, 400)
        be("client credentials are invalid" in str(error) and STAGE["key"] not in str(error), True)
    else:
        raise AssertionError("it was not refused")


def the_sandbox_takes_the_sdks_own_jwt():
    try:
        API.OAUTH2_API_URL = f"{STAGE['sandbox']}/oauth2"
        own = boxsdk.JWTAuth.from_settings_file(STAGE["config"])
        be("Contracts" in names(boxsdk.Client(own)), True)
        own.authenticate_user(USER)
        be("Ada's notes" in names(boxsdk.Client(own)), True)
    finally:
        API.OAUTH2_API_URL = f"{STAGE['broker']}/oauth2"


def webhooks_signed_by_the_sdk_are_verified():
    body, headers = webhooks.signed(_compute_signature)
    be(Webhook.validate_message(body, headers, webhooks.PRIMARY), True)
    webhooks.check(_compute_signature)


run([
    the_service_account_lists_its_folders, a_user_lists_their_folders, a_downscoped_token_reaches_its_folder_alone,
    revoking_ends_nobody_elses_token, a_token_that_box_kills_is_replaced,
    what_the_broker_refuses_is_told_in_boxs_shape, the_sandbox_takes_the_sdks_own_jwt,
    webhooks_signed_by_the_sdk_are_verified,
])
