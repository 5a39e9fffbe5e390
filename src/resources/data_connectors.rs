//! Data connectors: connections to accounts at other providers.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::call::Call;
use crate::call::json::id::usable;
use crate::call::list::pager::SyncPager;
use crate::http::session::Session;

/// Connects accounts at other providers. Returned by
/// [`TwelveLabs::data_connectors`](crate::TwelveLabs::data_connectors). Import their files with
/// [`imports`](crate::TwelveLabs::imports).
#[derive(Debug, Clone)]
pub struct DataConnectorsClient(pub(crate) Session);

impl DataConnectorsClient {
    /// Starts the authorization of a connection, and returns the URL to which you send the user.
    ///
    /// When the user has agreed, the platform redirects the browser to `redirect_uri` with `connection_id`, `status`
    /// and your `custom_id` in the query. If the user declines, the query contains `error`. The platform accepts any
    /// URI until you [register one](Self::create_redirect_uri).
    ///
    /// ```no_run
    /// use twelvelabs::data_connectors::ConnectionProvider;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let done = "https://app.example.com/oauth/done";
    /// let authorize = client.data_connectors().authorize_connection(ConnectionProvider::GoogleDrive, done);
    /// println!("{}", authorize.custom_id("customer-42").send()?.authorize_url.unwrap_or_default());
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn authorize_connection(
        &self,
        provider: impl Into<ConnectionProvider>,
        redirect_uri: impl Into<String>,
    ) -> AuthorizeConnection {
        let mut request = self.0.post(&["connections"]).custom_method("authorize");
        request.json("provider", &provider.into());
        request.json("redirect_uri", &redirect_uri.into());
        request.into()
    }

    /// Lists the connections of the account, newest first.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for connection in client.data_connectors().list_connections().send()? {
    ///     let connection = connection?;
    ///     println!("{} {:?}", connection.id, connection.status);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn list_connections(&self) -> ListConnections {
        self.0.get(&["connections"]).into()
    }

    /// Gets a connection.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let connection = client.data_connectors().retrieve_connection("66f…").send()?;
    /// println!("{:?} {:?}", connection.status, connection.account);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn retrieve_connection(&self, connection_id: &str) -> Call<Connection> {
        self.0.get(&["connections", connection_id]).into()
    }

    /// Disconnects an account: the platform revokes its access and deletes its tokens. Imported assets remain.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.data_connectors().delete_connection("66f…").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn delete_connection(&self, connection_id: &str) -> Call<()> {
        self.0.delete(&["connections", connection_id]).into()
    }

    /// Creates a short-lived, read-only token for the provider's file picker, in which the user chooses files. The
    /// connection must be active.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let token = client.data_connectors().create_connection_picker_token("66f…").send()?;
    /// println!("it ends in {:?} s", token.expires_in);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn create_connection_picker_token(&self, connection_id: &str) -> Call<CreateConnectionPickerTokenResponse> {
        self.0.post(&["connections", connection_id, "picker-token"]).into()
    }

    /// Lists the registered redirect URIs, newest first.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for uri in client.data_connectors().list_redirect_uris().send()? {
    ///     println!("{}", uri?.redirect_uri.unwrap_or_default());
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn list_redirect_uris(&self) -> ListRedirectUris {
        self.0.get(&["connections", "redirect-uris"]).into()
    }

    /// Registers a redirect URI. Once one is registered, an [authorization](Self::authorize_connection) accepts only
    /// registered URIs, exactly as written.
    ///
    /// The URI must start with `https://`, have a public host, and contain no wildcards.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let uri = client.data_connectors().create_redirect_uri("https://app.example.com/oauth/done").send()?;
    /// println!("{}", uri.id);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn create_redirect_uri(&self, redirect_uri: impl Into<String>) -> Call<RedirectUri> {
        let mut request = self.0.post(&["connections", "redirect-uris"]);
        request.json("redirect_uri", &redirect_uri.into());
        request.into()
    }

    /// Deletes a redirect URI permanently.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.data_connectors().delete_redirect_uri("66f…").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn delete_redirect_uri(&self, redirect_uri_id: &str) -> Call<()> {
        self.0.delete(&["connections", "redirect-uris", redirect_uri_id]).into()
    }
}

request! {
    /// The builder returned by [`DataConnectorsClient::authorize_connection`].
    AuthorizeConnection -> AuthorizeConnectionResponse {
        /// Sets your own label, which is returned with the connection and identifies its user. It should not contain
        /// personal data, and need not be unique.
        json custom_id: into String,
    }
}

request! {
    /// The builder returned by [`DataConnectorsClient::list_connections`].
    ListConnections -> SyncPager<Connection> {
        paging,
    }
}

request! {
    /// The builder returned by [`DataConnectorsClient::list_redirect_uris`].
    ListRedirectUris -> SyncPager<RedirectUri> {
        paging,
    }
}

open_enum! {
    /// A provider from which files can be imported.
    ConnectionProvider {
        /// Google Drive.
        GoogleDrive = "google_drive",
    }
}

open_enum! {
    /// The status of a connection.
    ConnectionStatus {
        /// The connection is ready for use.
        Active = "active",
        /// The access has expired. Authorize the connection again.
        Expired = "expired",
        /// The access was revoked.
        Revoked = "revoked",
    }
}

/// A connection to an account at another provider.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Connection {
    /// The id of the connection.
    #[serde(rename = "_id", deserialize_with = "usable")]
    pub id: String,
    /// The provider.
    pub provider: Option<ConnectionProvider>,
    /// The status of the connection.
    pub status: Option<ConnectionStatus>,
    /// Your own label.
    pub custom_id: Option<String>,
    /// The account.
    pub account: Option<ConnectionAccount>,
    /// The scopes to which the user has agreed, as the provider names them.
    pub scopes: Option<Vec<String>>,
    /// The time of creation.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub connected_at: Option<OffsetDateTime>,
    /// The time of the last use.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub last_used_at: Option<OffsetDateTime>,
}

/// The account of a [`Connection`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConnectionAccount {
    /// The id at the provider, which does not change.
    pub external_id: Option<String>,
    /// A name to show to people, such as an e-mail address.
    pub display_name: Option<String>,
}

/// The result of [`DataConnectorsClient::authorize_connection`]. `Debug` shows neither field, because both contain the
/// secret of the authorization.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuthorizeConnectionResponse {
    /// The URL to which to send the user.
    pub authorize_url: Option<String>,
    /// The secret by which the platform recognizes the authorization. The URL already contains it, so you need not use
    /// it.
    pub state: Option<String>,
}

impl fmt::Debug for AuthorizeConnectionResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizeConnectionResponse").finish_non_exhaustive()
    }
}

/// The result of [`DataConnectorsClient::create_connection_picker_token`]. `Debug` shows neither the token nor the key.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CreateConnectionPickerTokenResponse {
    /// The token.
    pub access_token: Option<String>,
    /// The lifetime in seconds.
    pub expires_in: Option<u64>,
    /// The scopes of the token, as the provider names them, separated by spaces.
    pub scope: Option<String>,
    /// The number of the app. Pass it to `setAppId` of Google's picker.
    pub app_id: Option<String>,
    /// The browser's key. Pass it to `setDeveloperKey` of Google's picker.
    pub developer_key: Option<String>,
}

impl fmt::Debug for CreateConnectionPickerTokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateConnectionPickerTokenResponse")
            .field("expires_in", &self.expires_in)
            .field("scope", &self.scope)
            .field("app_id", &self.app_id)
            .finish_non_exhaustive()
    }
}

/// A redirect URI that authorizations may use.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RedirectUri {
    /// The id of the redirect URI.
    #[serde(rename = "_id", deserialize_with = "usable")]
    pub id: String,
    /// The URI.
    pub redirect_uri: Option<String>,
    /// The time at which it was registered.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
}
