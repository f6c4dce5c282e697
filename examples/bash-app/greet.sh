#!/bin/bash
echo "greetings from $SHOP: $*"
echo "profile.d: $FROM_PROFILE; only web: ${FROM_WEB_PROFILE:-no}; .profile: ${FROM_APP_PROFILE:-no}"
